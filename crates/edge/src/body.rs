//! Reads a body up to its limit.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::time::Duration;

/// What is reserved at once for an announced body: a larger one grows as it arrives, so that an announcement alone
/// costs no memory.
const RESERVED_BYTES_MAX: usize = 1024 * 1024;

/// What became of a body.
pub(crate) enum Arrival {
    Whole(Bytes),
    TooLarge,
    /// The client hung up, sent rubbish, or fell silent.
    Broken,
}

/// Reads `body` until it ends or has more than `limit` bytes. No single pause may be longer than `pause`.
pub(crate) async fn read(body: &mut Incoming, limit: usize, pause: Duration) -> Arrival {
    let announced = body.size_hint().exact().map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let first = match next(body, pause).await {
        Next::Data(data) => data,
        Next::End => return Arrival::Whole(Bytes::new()),
        Next::Broken => return Arrival::Broken,
    };
    if first.len() > limit {
        return Arrival::TooLarge;
    }
    // Most bodies come in one piece, which needs no copy.
    if body.is_end_stream() {
        return Arrival::Whole(first);
    }
    let mut whole =
        BytesMut::with_capacity(announced.unwrap_or(first.len()).min(RESERVED_BYTES_MAX));
    whole.extend_from_slice(&first);
    loop {
        match next(body, pause).await {
            Next::Data(data) if data.len() > limit - whole.len() => return Arrival::TooLarge,
            Next::Data(data) => whole.extend_from_slice(&data),
            Next::End => return Arrival::Whole(whole.freeze()),
            Next::Broken => return Arrival::Broken,
        }
    }
}

/// Reads and forgets up to `limit` bytes.
pub(crate) async fn discard(body: &mut Incoming, limit: usize, pause: Duration) {
    let mut left = limit;
    while let Next::Data(data) = next(body, pause).await {
        let Some(rest) = left.checked_sub(data.len()) else { return };
        left = rest;
    }
}

enum Next {
    Data(Bytes),
    End,
    Broken,
}

async fn next(body: &mut Incoming, pause: Duration) -> Next {
    loop {
        match tokio::time::timeout(pause, body.frame()).await {
            Ok(None) => return Next::End,
            Ok(Some(Ok(frame))) => {
                // Trailers are nobody's business here.
                if let Ok(data) = frame.into_data() {
                    return Next::Data(data);
                }
            }
            Ok(Some(Err(_))) | Err(_) => return Next::Broken,
        }
    }
}
