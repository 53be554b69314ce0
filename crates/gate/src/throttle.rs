//! The step after authentication, when the operation is known: whether its bucket has room for one more call.

use crate::{Door, Gate, door::Seen, frame::Frame};
use bytes::Bytes;
use durastack_throttle::{Throttle, Throttled};
use durastack_wire::{Caller, WireError};
use http::{HeaderValue, Request, Response, StatusCode, header};
use tracing::Span;

impl Gate {
    /// The same gate with a throttle; without, every call passes.
    #[must_use]
    pub fn throttled_by(mut self, throttle: Throttle) -> Self {
        self.throttle = throttle;
        self
    }

    /// Takes one call of a service (`lambda`, `fnf`) out of its bucket, or answers it in the service's own frame. To be
    /// asked after [`Gate::admit`] and before anything of the input is looked at, for operations that are not built too.
    ///
    /// # Errors
    ///
    /// The answer, ready to be sent.
    pub fn throttle(
        &self,
        service: &str,
        operation: &'static str,
        caller: &Caller,
        request: &Request<Bytes>,
        request_id: &str,
    ) -> Result<(), Box<Response<Bytes>>> {
        if is_accepted_without_limit(operation, request) {
            return Ok(());
        }
        self.throttle.check(service, operation, &caller.account, &caller.region).map_err(
            |throttled| {
                let seen = Seen::of_request(request);
                let error = wire(&throttled);
                // The line of the finished request tells; a line for each refusal would be a flood.
                Span::current().record("operation", operation).record("code", &*error.code);
                Box::new(Frame::of(&seen, &Door::of(&seen)).error(&error, request_id))
            },
        )
    }
}

/// Events are queued, however many there are.
/// Source: Lambda developer guide, "Lambda quotas": asynchronous invokes.
fn is_accepted_without_limit(operation: &str, request: &Request<Bytes>) -> bool {
    operation == "Invoke"
        && request.headers().get("x-amz-invocation-type").is_some_and(|value| value == "Event")
}

fn wire(throttled: &Throttled) -> WireError {
    let answer = throttled.answer;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::TOO_MANY_REQUESTS);
    let mut error = WireError::client(status, answer.code, throttled);
    if let Some(reason) = answer.reason {
        error = error.member("Reason", reason);
    }
    if let Some(seconds) = throttled.retry_after_s {
        error = error.header(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use durastack_auth::Keyring;
    use durastack_clock::{Clock, Timestamp};
    use durastack_names::{AccountId, Region};
    use durastack_throttle::Profile;
    use std::{sync::Arc, time::Duration};

    const FUNCTIONS: &str = "/2015-03-31/functions";

    /// A gate with one call per second and service, and its clock.
    fn gate(more: &str) -> (Gate, Clock) {
        let bucket = |service: &str| {
            format!(
                "[[bucket]]\nservice = \"{service}\"\noperations = [\"*\"]\nrate = 1\nburst = 1\n"
            )
        };
        let known =
            [("lambda", vec!["ListFunctions", "Invoke"]), ("fnf", vec!["ListFlows", "CreateFlow"])];
        let profile = format!("{more}\n{}{}", bucket("lambda"), bucket("fnf"));
        let profile = Profile::read(&profile, &known).unwrap();
        let clock = Clock::manual(Timestamp::from_millis(1_767_323_045_000));
        let keys = Arc::new(Keyring::new([5; 32], vec![]));
        let gate = Gate::new(Settings::default(), keys, clock.clone()).unwrap();
        (gate.throttled_by(Throttle::new(&profile, clock.clone())), clock)
    }

    fn request(target: &str) -> Request<Bytes> {
        Request::builder().uri(target).header("host", "localhost").body(Bytes::new()).unwrap()
    }

    fn call(
        gate: &Gate,
        service: &str,
        operation: &'static str,
        request: &Request<Bytes>,
    ) -> Result<(), Box<Response<Bytes>>> {
        let caller = Caller {
            account: AccountId::local(),
            region: Region::us_east_1(),
            access_key_id: "test".to_owned(),
            function: None,
        };
        gate.throttle(service, operation, &caller, request, "id-1")
    }

    fn text(response: &Response<Bytes>) -> &str {
        std::str::from_utf8(response.body()).unwrap()
    }

    #[test]
    fn lambda_refuses_with_reason_and_type() {
        let (gate, clock) = gate("");
        let list = request(FUNCTIONS);
        assert!(call(&gate, "lambda", "ListFunctions", &list).is_ok());
        let refused = call(&gate, "lambda", "ListFunctions", &list).unwrap_err();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.headers()["x-amzn-errortype"], "TooManyRequestsException");
        assert_eq!(refused.headers()["x-amzn-requestid"], "id-1");
        assert!(!refused.headers().contains_key(header::RETRY_AFTER));
        assert_eq!(
            text(&refused),
            r#"{"Reason":"CallerRateLimitExceeded","Type":"User","message":"Rate exceeded"}"#
        );
        clock.turn(Duration::from_secs(1));
        assert!(call(&gate, "lambda", "ListFunctions", &list).is_ok());
    }

    #[test]
    fn when_to_come_again_is_said_if_the_profile_asks() {
        let (gate, _) = gate("retry_after = true");
        let list = request(FUNCTIONS);
        call(&gate, "lambda", "ListFunctions", &list).unwrap();
        let refused = call(&gate, "lambda", "ListFunctions", &list).unwrap_err();
        assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
    }

    #[test]
    fn events_are_accepted_when_synchronous_invokes_are_not() {
        let (gate, _) = gate("");
        let mut invoke = request("/2015-03-31/functions/order/invocations");
        call(&gate, "lambda", "Invoke", &invoke).unwrap();
        let refused = call(&gate, "lambda", "Invoke", &invoke).unwrap_err();
        assert_eq!(
            text(&refused),
            r#"{"Reason":"FunctionInvocationRateLimitExceeded","Type":"User","message":"Rate Exceeded."}"#
        );
        invoke.headers_mut().insert("x-amz-invocation-type", HeaderValue::from_static("Event"));
        assert!(call(&gate, "lambda", "Invoke", &invoke).is_ok());
    }

    #[test]
    fn alibaba_refuses_in_its_frame() {
        let (gate, _) = gate("");
        let list = request("/?Action=ListFlows&Version=2019-03-15&Signature=x");
        call(&gate, "fnf", "ListFlows", &list).unwrap();
        let refused = call(&gate, "fnf", "CreateFlow", &list).unwrap_err();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        let text = text(&refused);
        assert!(text.contains(r#""Code":"ResourceThrottled""#), "{text}");
        assert!(text.contains("The request is throttled. Please try again later."), "{text}");
        assert!(text.contains(r#""RequestId":"ID-1""#), "{text}");
    }

    #[test]
    fn without_a_throttle_everything_passes() {
        let clock = Clock::manual(Timestamp::from_millis(1_767_323_045_000));
        let keys = Arc::new(Keyring::new([5; 32], vec![]));
        let gate = Gate::new(Settings::default(), keys, clock).unwrap();
        let list = request(FUNCTIONS);
        assert!((0..1000).all(|_| call(&gate, "lambda", "ListFunctions", &list).is_ok()));
    }
}
