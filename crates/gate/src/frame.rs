//! The frame that an answer of the gate has: that of the service which the scope names, else JSON of our own.

use crate::{
    door::{Door, Seen, Service, is_likely_rpc, parameter},
    refused::{Own, Refused},
};
use bytes::Bytes;
use durastack_auth::Family;
use durastack_wire::{Fault, WireError, query, rpc};
use http::{HeaderValue, Response, header};
use serde_json::json;

/// Services over JSON whose refusals of this kind carry the framework's prefix in `__type`; others have a bare name.
/// Source: records of DynamoDB, Kinesis and SQS; Step Functions is inferred from its other errors.
const PREFIXED: [&str; 4] = ["dynamodb", "kinesis", "sqs", "states"];

/// Services over the query protocol or rest-xml, whose clients read XML even where a request shows no action.
const XML: [(&str, &str); 12] = [
    ("sts", "https://sts.amazonaws.com/doc/2011-06-15/"),
    ("iam", "https://iam.amazonaws.com/doc/2010-05-08/"),
    ("sns", "http://sns.amazonaws.com/doc/2010-03-31/"),
    ("sqs", "http://queue.amazonaws.com/doc/2012-11-05/"),
    ("cloudformation", "http://cloudformation.amazonaws.com/doc/2010-05-15/"),
    ("rds", "http://rds.amazonaws.com/doc/2014-10-31/"),
    ("ec2", "http://ec2.amazonaws.com/doc/2016-11-15/"),
    ("route53", "https://route53.amazonaws.com/doc/2013-04-01/"),
    ("cloudfront", "http://cloudfront.amazonaws.com/doc/2020-05-31/"),
    ("s3", "http://s3.amazonaws.com/doc/2006-03-01/"),
    ("s3express", "http://s3.amazonaws.com/doc/2006-03-01/"),
    ("s3-outposts", "http://s3.amazonaws.com/doc/2006-03-01/"),
];

/// Whether a service is signed for by rules that are not verified here.
pub(crate) fn has_own_signature_rules(service: &str) -> bool {
    service == "s3" || service.starts_with("s3-") || service == "s3express"
}

/// How an answer is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// No cloud's: `{"code":…,"message":…}`.
    Own,
    /// The code in a header, `{"message":…}`.
    RestJson,
    /// The code in the body's `__type`.
    Json { family: Family, prefix: &'static str, content_type: HeaderValue },
    /// XML.
    Query { namespace: &'static str },
    /// Alibaba's `{"Code":…,"Message":…,"RequestId":…,"HostId":…}`. The parameters may name the request's id.
    Rpc { host: &'a str, parameters: Option<rpc::Parameters> },
}

impl<'a> Frame<'a> {
    pub(crate) fn of(seen: &Seen<'a>, door: &Door<'_>) -> Self {
        match door {
            Door::Nowhere if is_likely_rpc(seen) => Self::rpc(seen),
            Door::Admin | Door::Nowhere => Self::Own,
            Door::Service(Service::Lambda) => Self::RestJson,
            Door::Service(Service::Sts) => Self::Query { namespace: XML[0].1 },
            Door::Fnf => Self::rpc(seen),
            Door::Unbuilt(service) => Self::of_service(seen, service),
        }
    }

    fn rpc(seen: &Seen<'a>) -> Self {
        Self::Rpc { host: seen.host(), parameters: seen.parameters().ok() }
    }

    fn of_service(seen: &Seen<'_>, service: &str) -> Self {
        if seen.headers.contains_key("x-amz-target") {
            let content_type = seen.headers.get(header::CONTENT_TYPE);
            let content_type = content_type
                .filter(|value| value.as_bytes().starts_with(b"application/x-amz-json-"))
                .cloned();
            return Self::Json {
                family: if service == "sqs" { Family::JsonForbidden } else { Family::Json },
                prefix: if PREFIXED.contains(&service) { "com.amazon.coral.service#" } else { "" },
                content_type: content_type
                    .unwrap_or(HeaderValue::from_static("application/x-amz-json-1.0")),
            };
        }
        if let Some((_, namespace)) = XML.iter().find(|(name, _)| *name == service) {
            return Self::Query { namespace };
        }
        if parameter(seen, "Action").is_some() {
            return Self::Query { namespace: "http://webservices.amazon.com/" };
        }
        Self::RestJson
    }

    /// Writes why the request does not pass. What no cloud would ever say is said in our own frame.
    pub(crate) fn refusal(&self, refused: &Refused, request_id: &str) -> Response<Bytes> {
        let Own { status, code, message } = refused.own();
        match refused {
            Refused::Signature(refusal) => {
                let family = match self {
                    Self::Json { family, .. } => *family,
                    Self::Query { .. } => Family::Query,
                    Self::Own | Self::RestJson | Self::Rpc { .. } => Family::RestJson,
                };
                let (status, code) = (refusal.status(family), refusal.code(family));
                let error = WireError::client(status, code, refusal.message(family));
                self.error(&error.fault(Fault::Unsaid), request_id)
            }
            Refused::Host { .. }
            | Refused::Origin { .. }
            | Refused::CrossSite
            | Refused::AdminFromAfar { .. } => {
                Frame::Own.error(&WireError::client(status, code, message), request_id)
            }
            Refused::NotBuilt { .. }
            | Refused::TooLarge { .. }
            | Refused::EntityTooLarge { .. }
            | Refused::TooManyParameters(_)
            | Refused::RpcMethod { .. }
            | Refused::Region(_)
            | Refused::Aliyun { .. }
            | Refused::Nowhere => {
                let error = WireError::client(status, code, message).fault(Fault::Unsaid);
                self.error(&error, request_id)
            }
        }
    }

    /// Writes an error.
    pub(crate) fn error(&self, error: &WireError, request_id: &str) -> Response<Bytes> {
        let (code, message) = (&error.code, &error.message);
        let (content_type, body) = match self {
            Self::RestJson => {
                return error.render(request_id).unwrap_or_default();
            }
            Self::Query { namespace } => return query::failure(namespace, error, request_id),
            Self::Own => {
                let body = json!({ "code": code, "message": message });
                (HeaderValue::from_static("application/json"), body)
            }
            Self::Json { prefix, content_type, .. } => {
                let body = json!({ "__type": format!("{prefix}{code}"), "message": message });
                (content_type.clone(), body)
            }
            Self::Rpc { host, parameters } => {
                let request_id = &rpc::request_id(parameters.as_ref(), request_id);
                return rpc::Frame { request_id, host }.failure(error).unwrap_or_default();
            }
        };
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = error.status;
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        if let Ok(id) = HeaderValue::from_str(request_id) {
            response.headers_mut().insert("x-amzn-requestid", id);
        }
        response
    }
}
