//! svc-lambda
