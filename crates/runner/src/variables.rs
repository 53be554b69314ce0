//! The variables of a function process. Source: developer guide, "Using Lambda environment variables", and the
//! precedence of AWS's emulator.

use crate::{
    contract::LambdaIdentity,
    function::Function,
    interpreter::{Interpreter, Language},
};
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::Path,
};

/// Lambda's own `PATH`.
const PATH: &str = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin";

/// What the variables of one process depend on.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) function: &'a Function,
    pub(crate) language: &'a Language,
    pub(crate) interpreter: Option<&'a Interpreter>,
    /// `http://127.0.0.1:4566`.
    pub(crate) endpoint: &'a str,
    /// `host:port` of this environment's Runtime API.
    pub(crate) runtime_api: &'a str,
    pub(crate) runtime_folder: &'a Path,
    pub(crate) start_folder: &'a Path,
    pub(crate) log_stream: &'a str,
    /// This environment's own; holds `home` and `tmp`.
    pub(crate) scratch: &'a Path,
}

impl Surroundings<'_> {
    /// All variables under Lambda's contract: nothing is inherited.
    pub(crate) fn lambda(&self, identity: &LambdaIdentity) -> BTreeMap<String, OsString> {
        let mut all = self.lambda_defaults();
        for (name, value) in &self.function.environment {
            // Lambda drops these without a word.
            if !name.starts_with('_') && !name.is_empty() && !name.contains(['=', '\0']) {
                all.insert(name.clone(), value.into());
            }
        }
        self.fix(identity, &mut all);
        // A process cannot be given a value with a NUL in it.
        all.retain(|_, value| !value.as_encoded_bytes().contains(&0));
        all
    }

    /// What the user's variables may override, whatever the contract; `path` comes behind the interpreter's folder.
    pub(crate) fn defaults(&self, path: &str) -> BTreeMap<String, OsString> {
        let mut all = BTreeMap::new();
        let mut put = |name: &str, value: &OsStr| all.insert(name.to_owned(), value.to_owned());
        let mut folders = OsString::new();
        if let Some(folder) = self.interpreter.and_then(|i| i.program.parent()) {
            folders.push(folder);
            folders.push(":");
        }
        folders.push(path);
        put("PATH", &folders);
        put("LANG", "en_US.UTF-8".as_ref());
        put("HOME", self.scratch.join("home").as_os_str());
        put("TMPDIR", self.scratch.join("tmp").as_os_str());
        let host = self.endpoint.split_once("://").map_or(self.endpoint, |(_, rest)| rest);
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let direct = format!("localhost,127.0.0.1,::1,{host}");
        put("NO_PROXY", direct.as_ref());
        put("no_proxy", direct.as_ref());
        if matches!(self.language, Language::Node(_)) {
            let mut folders = self.start_folder.join("node_modules").into_os_string();
            folders.push(":");
            folders.push(&self.function.code);
            put("NODE_PATH", &folders);
        }
        all
    }

    /// What the user's variables may override under Lambda's contract.
    ///
    /// Differs: no `LD_LIBRARY_PATH`, whose folders do not exist here and whose `/lib64` would disturb systems that
    /// keep their libraries elsewhere; no X-Ray addresses, since nothing listens there.
    fn lambda_defaults(&self) -> BTreeMap<String, OsString> {
        let mut all = self.defaults(PATH);
        let mut put = |name: &str, value: &str| all.insert(name.to_owned(), value.into());
        put("TZ", ":UTC");
        // A user who names another endpoint means it; everybody else must not reach a real cloud.
        put("AWS_ENDPOINT_URL", self.endpoint);
        put("AWS_ENDPOINT_URL_LAMBDA", self.endpoint);
        put("AWS_EC2_METADATA_DISABLED", "true");
        put("AWS_CONFIG_FILE", "/dev/null");
        put("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        put("AWS_LAMBDA_LOG_FORMAT", self.function.log_format.as_str());
        if let Some(level) = &self.function.log_level {
            put("AWS_LAMBDA_LOG_LEVEL", level);
        }
        all
    }

    /// What nobody overrides.
    fn fix(&self, identity: &LambdaIdentity, all: &mut BTreeMap<String, OsString>) {
        let function = self.function;
        let mut put = |name: &str, value: &OsStr| all.insert(name.to_owned(), value.to_owned());
        put("_HANDLER", function.handler.as_ref());
        put("LAMBDA_TASK_ROOT", function.code.as_os_str());
        put("LAMBDA_RUNTIME_DIR", self.runtime_folder.as_os_str());
        put("PWD", function.code.as_os_str());
        put("SHLVL", "0".as_ref());
        put("AWS_LAMBDA_FUNCTION_NAME", identity.arn.name.as_str().as_ref());
        put("AWS_LAMBDA_FUNCTION_VERSION", identity.version.to_string().as_ref());
        put("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory_mb.to_string().as_ref());
        put("AWS_LAMBDA_LOG_GROUP_NAME", function.log_group.as_ref());
        put("AWS_LAMBDA_LOG_STREAM_NAME", self.log_stream.as_ref());
        put("AWS_LAMBDA_RUNTIME_API", self.runtime_api.as_ref());
        put("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".as_ref());
        put("AWS_REGION", identity.arn.region.as_str().as_ref());
        put("AWS_DEFAULT_REGION", identity.arn.region.as_str().as_ref());
        put("AWS_ACCESS_KEY_ID", function.credentials.access_key_id.as_ref());
        put("AWS_SECRET_ACCESS_KEY", function.credentials.secret_access_key.as_ref());
        if !function.credentials.session_token.is_empty() {
            put("AWS_SESSION_TOKEN", function.credentials.session_token.as_ref());
        }
        if *self.language != Language::Provided {
            put("AWS_EXECUTION_ENV", format!("AWS_Lambda_{}", function.runtime).as_ref());
        }
        let absent = [
            "AWS_LAMBDA_MAX_CONCURRENCY",
            "AWS_LAMBDA_METADATA_API",
            "AWS_LAMBDA_METADATA_TOKEN",
            "AWS_ACCESS_KEY",
        ];
        for name in absent {
            all.remove(name);
        }
        if *self.language == Language::Provided {
            all.remove("AWS_EXECUTION_ENV");
        }
        if function.credentials.session_token.is_empty() {
            all.remove("AWS_SESSION_TOKEN");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Contract;

    fn check(runtime: &str, name: &str, value: &str, seen: Option<&str>) {
        let function = Function {
            environment: BTreeMap::from([(name.to_owned(), value.to_owned())]),
            ..Function::sample(runtime)
        };
        let Contract::Lambda(identity) = &function.contract else { panic!() };
        let language = Language::of(runtime).unwrap();
        let variables = Surroundings {
            function: &function,
            language: &language,
            interpreter: None,
            endpoint: "http://127.0.0.1:4566",
            runtime_api: "127.0.0.1:9001",
            runtime_folder: "/run".as_ref(),
            start_folder: "/start".as_ref(),
            log_stream: "s",
            scratch: "/scratch".as_ref(),
        }
        .lambda(identity);
        assert_eq!(variables.get(name).and_then(|v| v.to_str()), seen, "{name}");
    }

    #[test]
    fn precedence_is_lambdas() {
        check("python3.13", "MINE", "1", Some("1"));
        check("python3.13", "TZ", "Europe/Berlin", Some("Europe/Berlin"));
        check("python3.13", "AWS_LAMBDA_LOG_LEVEL", "DEBUG", Some("DEBUG"));
        check("python3.13", "AWS_ENDPOINT_URL", "http://other", Some("http://other"));
        check("python3.13", "AWS_REGION", "us-east-1", Some("eu-west-1"));
        check("python3.13", "_X", "1", None);
        check("python3.13", "AWS_LAMBDA_MAX_CONCURRENCY", "4", None);
        check("python3.13", "AWS_EXECUTION_ENV", "x", Some("AWS_Lambda_python3.13"));
        check("provided.al2023", "AWS_EXECUTION_ENV", "x", None);
    }
}
