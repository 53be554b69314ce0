//! How long a body may be, decided from the head alone. An operation's own limit stands in its service's table; what
//! depends on more than the operation is added here.

use crate::{
    Door, Gate, Service, answer,
    door::{self, Seen},
    frame::Frame,
    refused::Refused,
};
use bytes::Bytes;
use durastack_wire::{Op, WireError};
use http::{HeaderMap, Response, StatusCode, request::Parts};
use std::net::SocketAddr;

/// Bodies of the admin API, of STS, and of Lambda's paths that no operation has.
const OTHER_BYTES_MAX: usize = 1024 * 1024;

/// Bodies for services that are not built: they are read for their signature's sake.
const UNBUILT_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Any request of CloudFlow.
/// Source: its limits page, 1,024 KiB; error code `EntityTooLarge`.
const FNF_BYTES_MAX: usize = 1024 * 1024;

/// The payload of an asynchronous invoke.
/// Source: Lambda developer guide, "Lambda quotas", invocation payload: 1 MB asynchronous.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

impl Gate {
    /// How many bytes of body to read. `op` finds the operation of a service that is built, for its own limit.
    ///
    /// A request that will be refused for its host or its page has no body worth reading: 0.
    pub fn body_bytes_max<'o>(
        &self,
        head: &Parts,
        op: impl FnOnce(Service) -> Option<&'o Op>,
    ) -> usize {
        if self.screen(&head.uri, &head.headers).is_err() {
            return 0;
        }
        match Door::of(&Seen::of_head(head)) {
            Door::Service(service) => {
                op(service).map_or(OTHER_BYTES_MAX, |op| operation_bytes_max(op, &head.headers))
            }
            Door::Admin | Door::Nowhere => OTHER_BYTES_MAX,
            Door::Unbuilt(_) => UNBUILT_BYTES_MAX,
            Door::Fnf => FNF_BYTES_MAX,
        }
    }

    /// Answers a request whose body is longer than [`Gate::body_bytes_max`]. `length` is what it was announced with.
    pub fn too_large<'o>(
        &self,
        head: &Parts,
        peer: SocketAddr,
        request_id: &str,
        length: Option<u64>,
        op: impl FnOnce(Service) -> Option<&'o Op>,
    ) -> Response<Bytes> {
        let seen = Seen::of_head(head);
        let door = match Door::of(&seen) {
            // A form that is not read cannot say where it goes. Those of AWS are signed in a header, so it is one of
            // Alibaba's clients that put everything in there.
            Door::Nowhere if seen.uri.path() == "/" && door::has_form(&seen) => Door::Fnf,
            door => door,
        };
        if let Err(refused) = self.screen(&head.uri, &head.headers) {
            return answer(&refused, &seen, &door, request_id);
        }
        tracing::warn!(%peer, method = %head.method, path = head.uri.path(), length, "a body is too long");
        let found = match &door {
            Door::Service(service) => op(*service),
            Door::Admin | Door::Unbuilt(_) | Door::Fnf | Door::Nowhere => None,
        };
        let frame = Frame::of(&seen, &door);
        match found {
            Some(op) => frame.error(&operation_too_large(op, &head.headers, length), request_id),
            None => {
                let refused = match door {
                    Door::Fnf => Refused::EntityTooLarge { limit: FNF_BYTES_MAX },
                    Door::Unbuilt(_) => Refused::TooLarge { limit: UNBUILT_BYTES_MAX },
                    Door::Admin | Door::Service(_) | Door::Nowhere => {
                        Refused::TooLarge { limit: OTHER_BYTES_MAX }
                    }
                };
                frame.refusal(&refused, request_id)
            }
        }
    }
}

fn operation_bytes_max(op: &Op, headers: &HeaderMap) -> usize {
    match invocation_type(op, headers) {
        Some("Event") => EVENT_BYTES_MAX.min(op.body_bytes_max),
        _ => op.body_bytes_max,
    }
}

/// Source: Lambda's answer to a synchronous invoke as users quote it, "6991583 byte payload is too large for the
/// RequestResponse invocation type (limit 6291456 bytes)". That an event is refused in the same words is inferred.
fn operation_too_large(op: &Op, headers: &HeaderMap, length: Option<u64>) -> WireError {
    let Some(invocation_type) = invocation_type(op, headers) else { return op.too_large() };
    let limit = operation_bytes_max(op, headers);
    // Differs: a body in chunks has no length before it is read whole, and that is what a limit spares.
    let size = length.map_or_else(|| "The".to_owned(), |length| format!("{length} byte"));
    WireError::client(
        StatusCode::PAYLOAD_TOO_LARGE,
        "RequestTooLargeException",
        format!(
            "{size} payload is too large for the {invocation_type} invocation type (limit {limit} bytes)"
        ),
    )
}

/// How a function is to be invoked, if the operation is that.
fn invocation_type<'h>(op: &Op, headers: &'h HeaderMap) -> Option<&'h str> {
    if op.name != "Invoke" {
        return None;
    }
    let given = headers.get("x-amz-invocation-type").and_then(|value| value.to_str().ok());
    match given {
        Some(given @ ("Event" | "DryRun")) => Some(given),
        _ => Some("RequestResponse"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVOKE: Op = Op::post("Invoke", "/2015-03-31/functions/{FunctionName}/invocations")
        .body_bytes_max(6_291_456);
    const CODE: Op = Op::post("CreateFunction", "/2015-03-31/functions").body_bytes_max(70_000_000);

    fn headers(invocation_type: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-invocation-type", invocation_type.parse().unwrap());
        headers
    }

    #[test]
    fn an_event_may_be_shorter_than_a_synchronous_payload() {
        assert_eq!(operation_bytes_max(&INVOKE, &HeaderMap::new()), 6_291_456);
        assert_eq!(operation_bytes_max(&INVOKE, &headers("RequestResponse")), 6_291_456);
        assert_eq!(operation_bytes_max(&INVOKE, &headers("Event")), 1_048_576);
        assert_eq!(operation_bytes_max(&CODE, &headers("Event")), 70_000_000);
    }

    #[test]
    fn an_invoke_has_its_own_text() {
        let error = operation_too_large(&INVOKE, &HeaderMap::new(), Some(6_991_583));
        assert_eq!((error.status.as_u16(), &*error.code), (413, "RequestTooLargeException"));
        assert_eq!(
            error.message,
            "6991583 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)"
        );
        let error = operation_too_large(&INVOKE, &headers("Event"), None);
        assert!(error.message.ends_with("for the Event invocation type (limit 1048576 bytes)"));
        assert!(
            operation_too_large(&CODE, &HeaderMap::new(), None).message.contains("CreateFunction")
        );
    }
}
