//! The variables of a function process under Function Compute's contract, and the facts that its bootstraps are told
//! beside them. Sources: help pages of Function Compute, "Environment variables" and "Context".

use crate::{
    contract::{FcIdentity, Initializer},
    function::{Credentials, Function},
    interpreter::Language,
    variables::Surroundings,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

/// The `PATH` behind the interpreter's folder.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Where a function finds the keys of its role: under the names of the SDKs, and under those of the first runtimes.
fn keys(credentials: &Credentials) -> [(&'static str, &str); 6] {
    let Credentials { access_key_id, secret_access_key, session_token } = credentials;
    [
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", access_key_id),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret_access_key),
        ("ALIBABA_CLOUD_SECURITY_TOKEN", session_token),
        ("accessKeyID", access_key_id),
        ("accessKeySecret", secret_access_key),
        ("securityToken", session_token),
    ]
}

impl Surroundings<'_> {
    /// All variables: nothing is inherited, and nothing of AWS's is set.
    pub(crate) fn function_compute(&self, identity: &FcIdentity) -> BTreeMap<String, OsString> {
        let mut all = self.defaults(PATH);
        let endpoint = self.endpoint.split_once("://").map_or(self.endpoint, |(_, rest)| rest);
        let mut put = |name: &str, value: &str| all.insert(name.to_owned(), value.into());
        put("TZ", "UTC");
        // What the vendor's SDKs would ask for keys, and what its tools ask for the address of flows.
        put("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
        put("ALIBABA_CLOUD_ENDPOINT_FNF", endpoint);
        put("FNF_ENDPOINT", endpoint);
        if matches!(self.language, Language::Python(_)) {
            // The code lies in the user's own folder, where no caches are to appear. A folder elsewhere for caches
            // (PYTHONPYCACHEPREFIX) would hide those of the standard library too, and each start would compile it anew.
            put("PYTHONDONTWRITEBYTECODE", "1");
        }
        for (name, value) in &self.function.environment {
            if !is_reserved(name) && !name.is_empty() && !name.contains(['=', '\0']) {
                all.insert(name.clone(), value.into());
            }
        }
        self.fix_function_compute(identity, &mut all);
        // A process cannot be given a value with a NUL in it.
        all.retain(|_, value| !value.as_encoded_bytes().contains(&0));
        all
    }

    /// What nobody overrides.
    fn fix_function_compute(&self, identity: &FcIdentity, all: &mut BTreeMap<String, OsString>) {
        let function = self.function;
        let mut put = |name: &str, value: &OsStr| all.insert(name.to_owned(), value.to_owned());
        put("PWD", function.code.as_os_str());
        put("FC_FUNC_CODE_PATH", function.code.as_os_str());
        put("FC_ACCOUNT_ID", identity.account.as_ref());
        put("FC_REGION", identity.region.as_str().as_ref());
        put("FC_FUNCTION_NAME", identity.name.as_ref());
        put("FC_FUNCTION_HANDLER", function.handler.as_ref());
        put("FC_FUNCTION_MEMORY_SIZE", function.memory_mb.to_string().as_ref());
        put("FC_QUALIFIER", identity.qualifier.as_ref());
        put("FC_INSTANCE_ID", self.scratch.file_name().unwrap_or_default());
        if let Some(service) = &identity.service {
            put("FC_SERVICE_NAME", service.as_ref());
        }
        for (name, value) in keys(&function.credentials) {
            match value {
                // A key of the user's own would open the real cloud.
                "" => all.remove(name),
                value => all.insert(name.to_owned(), value.into()),
            };
        }
    }

    /// What a bootstrap is told as its argument: the address of its Runtime API, and what is the same in the context
    /// of every invocation. `request_id` is that of the invocation that waits for the start.
    ///
    /// Differs: no function has a place in Simple Log Service, so project and store are empty texts.
    pub(crate) fn facts(&self, identity: &FcIdentity, request_id: &str) -> String {
        let Function { handler, memory_mb, timeout, .. } = self.function;
        let (initializer, initialization_timeout) = match &identity.initializer {
            Some(Initializer { handler, timeout }) => {
                (Value::from(handler.as_str()), seconds(timeout.as_secs_f64()))
            }
            None => (Value::Null, Value::Null),
        };
        let is_version = identity.qualifier.bytes().all(|b| b.is_ascii_digit());
        let version_id = if is_version { identity.qualifier.as_str() } else { "LATEST" };
        json!({
            "api": self.runtime_api,
            "requestId": request_id,
            "region": identity.region.as_str(),
            "accountId": identity.account,
            "function": {
                "name": identity.name,
                "handler": handler,
                "memory": memory_mb,
                "timeout": seconds(timeout.as_secs_f64()),
                "initializer": initializer,
                "initializationTimeout": initialization_timeout,
                "versionId": version_id,
                "qualifier": identity.qualifier,
            },
            "service": {
                "name": identity.service.as_deref().unwrap_or_default(),
                "logProject": "",
                "logStore": "",
                "versionId": version_id,
                "qualifier": identity.qualifier,
            },
        })
        .to_string()
    }
}

/// Names that Function Compute keeps for itself.
fn is_reserved(name: &str) -> bool {
    let names = ["accessKeyID", "accessKeySecret", "securityToken", "topic"];
    name.starts_with("FC_") || names.contains(&name)
}

/// Whole seconds as a whole number.
fn seconds(seconds: f64) -> Value {
    let text = seconds.to_string();
    text.parse::<u64>().map_or_else(|_| seconds.into(), Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str, seen: Option<&str>) {
        let mut function = Function {
            environment: BTreeMap::from([(name.to_owned(), value.to_owned())]),
            ..Function::sample("python3")
        };
        function.credentials.access_key_id = "local".into();
        let identity = FcIdentity {
            account: "1".into(),
            region: "cn-hangzhou".parse().unwrap(),
            service: None,
            name: "f".into(),
            qualifier: "LATEST".into(),
            initializer: None,
        };
        let variables = Surroundings {
            function: &function,
            language: &Language::Python("3".into()),
            interpreter: None,
            endpoint: "http://127.0.0.1:4566",
            runtime_api: "127.0.0.1:9001",
            runtime_folder: "/run".as_ref(),
            start_folder: "/start".as_ref(),
            log_stream: "s",
            scratch: "/scratch".as_ref(),
        }
        .function_compute(&identity);
        assert_eq!(variables.get(name).and_then(|v| v.to_str()), seen, "{name}");
        assert!(!variables.keys().any(|name| name.starts_with("AWS_")), "{variables:?}");
    }

    #[test]
    fn precedence_is_function_computes() {
        check("MINE", "1", Some("1"));
        check("TZ", "Asia/Shanghai", Some("Asia/Shanghai"));
        check("FNF_ENDPOINT", "other", Some("other"));
        check("PYTHONDONTWRITEBYTECODE", "", Some(""));
        check("FC_REGION", "moon", Some("cn-hangzhou"));
        check("FC_MINE", "1", None);
        check("topic", "1", None);
        check("ALIBABA_CLOUD_ACCESS_KEY_ID", "real", Some("local"));
        check("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "real", None);
        check("securityToken", "real", None);
    }
}
