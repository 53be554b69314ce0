//! What a task calls: ARNs and actions.
//!
//! `serviceParams` say what another flow is started with. For functions none are published, and they are passed over.

use crate::{
    definition::{FunctionTarget, Pattern, StartParameters, Target, is_name},
    fields::{Fields, Refused},
    mapping::Source,
    parse::source,
};
use serde_json::Value;

/// Reads `resourceArn` or `action`, and `serviceParams`.
pub(crate) fn target(fields: &Fields<'_>, pattern: Pattern) -> Refused<(String, Target)> {
    let (member, text) = match (fields.text("resourceArn")?, fields.text("action")?) {
        (Some(arn), None) => ("resourceArn", arn),
        (None, Some(action)) => ("action", action),
        _ => {
            let reason = "exactly one of 'resourceArn' and 'action' is needed";
            return Err(fields.bad(fields.position, reason));
        }
    };
    let bad = |reason: String| fields.bad(fields.position_of(member), reason);
    let target = if member == "action" {
        if text != "fnf:StartExecution" {
            return Err(bad(format!("action '{text}' is not built; 'fnf:StartExecution' is")));
        }
        let Some(parameters) = parameters(fields)? else {
            return Err(bad("'serviceParams' is missing, which names the flow".to_owned()));
        };
        let flow = source(&parameters, "FlowName")?
            .ok_or_else(|| parameters.bad(parameters.position, "'FlowName' is missing"))?;
        Target::StartExecution(start(flow, &parameters)?)
    } else if let Some(rest) = text.strip_prefix("acs:fc:") {
        let function = function(&text, rest)
            .ok_or_else(|| bad(format!("'{text}' is no ARN of a function")))?;
        Target::Function(function)
    } else if let Some(rest) = text.strip_prefix("acs:fnf:") {
        let name = flow(rest).ok_or_else(|| bad(format!("'{text}' is no ARN of a flow")))?;
        let flow = Source::Constant(Value::String(name.to_owned()));
        Target::Flow(match parameters(fields)? {
            Some(parameters) => start(flow, &parameters)?,
            None => StartParameters { flow, execution: None, input: Some(Source::whole_input()) },
        })
    } else if text.starts_with("acs:mns:") {
        return Err(bad(format!("'{text}': queues and topics (MNS) are not built as targets")));
    } else {
        return Err(bad(format!("'{text}' is no ARN of a function or flow; others are not built")));
    };
    check(fields, &text, &target, pattern)?;
    Ok((text, target))
}

fn check(fields: &Fields<'_>, text: &str, target: &Target, pattern: Pattern) -> Refused<()> {
    let possible = match target {
        Target::Function(_) => pattern != Pattern::Sync,
        Target::Flow(_) => true,
        Target::StartExecution(_) => pattern == Pattern::RequestResponse,
    };
    if possible {
        return Ok(());
    }
    let reason = format!("'{text}' cannot be used with the pattern '{}'", pattern.as_str());
    Err(fields.bad(fields.position_of("pattern"), reason))
}

fn parameters<'a>(fields: &Fields<'a>) -> Refused<Option<Fields<'a>>> {
    fields.get("serviceParams").map(|node| fields.within(node)).transpose()
}

fn start(flow: Source, parameters: &Fields<'_>) -> Refused<StartParameters> {
    Ok(StartParameters {
        flow,
        execution: source(parameters, "ExecutionName")?,
        input: source(parameters, "Input")?,
    })
}

/// Whether an ARN can name a function so.
#[must_use]
pub fn is_function_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['/', ':'])
}

/// `{region}:{account}:services/{service}[.{qualifier}]/functions/{function}` (FC 2), or
/// `{region}:{account}:functions/{function}[/{qualifier}]` (FC 3).
fn function(arn: &str, rest: &str) -> Option<FunctionTarget> {
    let mut parts = rest.splitn(3, ':');
    let (region, account, path) = (parts.next()?, parts.next()?, parts.next()?);
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (service, function, qualifier) = match path.strip_prefix("services/") {
        Some(path) => {
            let (service, function) = path.split_once("/functions/")?;
            let (service, qualifier) = match service.split_once('.') {
                Some((service, qualifier)) => (service, Some(some(qualifier)?)),
                None => (service, None),
            };
            (Some(some(service)?), function, qualifier)
        }
        None => match path.strip_prefix("functions/")?.split_once('/') {
            Some((function, qualifier)) => (None, function, Some(some(qualifier)?)),
            None => (None, path.strip_prefix("functions/")?, None),
        },
    };
    if !is_function_name(function) {
        return None;
    }
    Some(FunctionTarget {
        arn: arn.to_owned(),
        region: region.to_owned(),
        account: account.to_owned(),
        service,
        function: function.to_owned(),
        qualifier,
    })
}

/// `{region}:{account}:flow/{name}`.
fn flow(rest: &str) -> Option<&str> {
    let path = rest.splitn(3, ':').nth(2)?;
    path.strip_prefix("flow/").filter(|name| is_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rest: &str, expected: Option<(Option<&str>, &str, Option<&str>)>) {
        let target = function("", rest);
        let found = target
            .as_ref()
            .map(|t| (t.service.as_deref(), t.function.as_str(), t.qualifier.as_deref()));
        assert_eq!(found, expected, "{rest}");
    }

    #[test]
    fn function_arns_of_both_generations() {
        check("::services/s/functions/f", Some((Some("s"), "f", None)));
        check("cn-hangzhou:1:services/s.prod/functions/f", Some((Some("s"), "f", Some("prod"))));
        check("::functions/f", Some((None, "f", None)));
        check("::functions/f/LATEST", Some((None, "f", Some("LATEST"))));
        check("::services/s/functions/", None);
        check("::services//functions/f", None);
        check("::services/s./functions/f", None);
        check("::functions/f/", None);
        check("functions/f", None);
        check("::triggers/f", None);
    }

    #[test]
    fn flow_arns() {
        assert_eq!(flow("::flow/a-b"), Some("a-b"));
        assert_eq!(flow("cn-hangzhou:1:flow/x"), Some("x"));
        assert_eq!(flow("::flow/"), None);
        assert_eq!(flow("::execution/x"), None);
    }
}
