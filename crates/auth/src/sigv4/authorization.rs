//! What a request says about its own signature, in the `Authorization` header or in the query.

use crate::{
    MissingParts, Refusal, Secret,
    sigv4::{Request, canonical::Location, encoding::first_parameter},
};
use durastack_clock::Timestamp;
use http::{HeaderMap, header};
use std::borrow::Cow;

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A complete claim: every part is there, the date is a date, the host is signed. Nothing is verified.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) location: Location,
    pub(crate) credential: Cow<'a, str>,
    pub(crate) signed_headers: Cow<'a, str>,
    pub(crate) signature: Cow<'a, str>,
    /// The instant of the request, to the second.
    pub(crate) signed: Timestamp,
    /// That instant in basic ISO form, as the string to sign has it.
    pub(crate) basic_date: Cow<'a, str>,
    /// The session token.
    pub(crate) token: Option<Cow<'a, [u8]>>,
    /// How long a presigned request asks to be good, in seconds. What is no number asks for nothing.
    pub(crate) expires: Option<u32>,
}

/// Reads the claim, in the front door's order: one way of signing, the algorithm, the parts, the host, the date.
pub(crate) fn read<'a>(request: &Request<'a>) -> Result<Claim<'a>, Refusal> {
    let query = request.query();
    let mut authorizations = request.headers.get_all(header::AUTHORIZATION).iter();
    let authorization = authorizations.next();
    if authorizations.next().is_some() {
        return Err(Refusal::RepeatedAuthorization);
    }
    let algorithm = first_parameter(query, "X-Amz-Algorithm");
    match (authorization, algorithm) {
        (None, None) => Err(Refusal::MissingAuthentication),
        (Some(_), Some(_)) => Err(Refusal::BothWays),
        (Some(value), None) => from_header(value.as_bytes(), request.headers),
        (None, Some(algorithm)) if algorithm == ALGORITHM => from_query(query, request.headers),
        (None, Some(algorithm)) => {
            Err(Refusal::UnsupportedAlgorithm { algorithm: Secret::new(algorithm) })
        }
    }
}

/// The credential alone, however broken the rest may be.
pub(crate) fn credential<'a>(request: &Request<'a>) -> Option<(Cow<'a, str>, Location)> {
    let Some(value) = request.headers.get(header::AUTHORIZATION) else {
        return Some((first_parameter(request.query(), "X-Amz-Credential")?, Location::Query));
    };
    let credential = |text: &'a str| {
        let (_, parts) = text.trim_ascii().split_once(' ')?;
        pieces(parts).filter_map(|piece| piece.strip_prefix("Credential=")).next_back()
    };
    let text = std::str::from_utf8(value.as_bytes()).ok()?;
    Some((Cow::Borrowed(credential(text)?), Location::Header))
}

fn from_header<'a>(header: &'a [u8], headers: &'a HeaderMap) -> Result<Claim<'a>, Refusal> {
    let Ok(header) = std::str::from_utf8(header) else {
        // Differs: no record shows what the real service makes of such a header. There is no pair in it, in any case.
        let whole = Secret::new(String::from_utf8_lossy(header));
        return Err(Refusal::MissingEqualSign { token: whole.clone(), header: whole });
    };
    let trimmed = header.trim_ascii();
    let (algorithm, parts) = trimmed.split_once(' ').unwrap_or((trimmed, ""));
    // What stands first may be a secret of another scheme: it is shown to its sender alone.
    let unsupported = || Refusal::UnsupportedAlgorithm { algorithm: Secret::new(algorithm) };
    if algorithm.starts_with("AWS4-") && algorithm != ALGORITHM {
        return Err(unsupported());
    }
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for piece in pieces(parts) {
        let Some((key, value)) = piece.split_once('=') else {
            let (token, header) = (Secret::new(piece), Secret::new(header));
            return Err(Refusal::MissingEqualSign { token, header });
        };
        match key {
            "Credential" => credential = Some(value),
            "SignedHeaders" => signed_headers = Some(value),
            "Signature" => signature = Some(value),
            _ => {}
        }
    }
    if algorithm != ALGORITHM {
        return Err(unsupported());
    }
    let date = headers.get("x-amz-date").map(|value| (value, Zone::IsoOnly));
    let date = date.or_else(|| headers.get(header::DATE).map(|value| (value, Zone::Any)));
    let (Some(credential), Some(signed_headers), Some(signature), Some((date, zone))) =
        (credential, signed_headers, signature, date)
    else {
        return Err(Refusal::MissingParts(MissingParts {
            credential: credential.is_none(),
            signature: signature.is_none(),
            signed_headers: signed_headers.is_none(),
            date: date.is_none(),
            header: Some(Secret::new(header)),
        }));
    };
    check_host_signed(signed_headers)?;
    let (signed, basic_date) = read_date(text(date), zone)?;
    Ok(Claim {
        location: Location::Header,
        credential: credential.into(),
        signed_headers: signed_headers.into(),
        signature: signature.into(),
        signed,
        basic_date,
        token: headers.get("x-amz-security-token").map(|value| Cow::Borrowed(value.as_bytes())),
        expires: None,
    })
}

fn from_query<'a>(query: &'a str, headers: &'a HeaderMap) -> Result<Claim<'a>, Refusal> {
    let parameter = |name| first_parameter(query, name);
    let credential = parameter("X-Amz-Credential");
    let signed_headers = parameter("X-Amz-SignedHeaders");
    let signature = parameter("X-Amz-Signature");
    let date = parameter("X-Amz-Date");
    let (Some(credential), Some(signed_headers), Some(signature), Some(date)) =
        (&credential, &signed_headers, &signature, &date)
    else {
        return Err(Refusal::MissingParts(MissingParts {
            credential: credential.is_none(),
            signature: signature.is_none(),
            signed_headers: signed_headers.is_none(),
            date: date.is_none(),
            header: None,
        }));
    };
    check_host_signed(signed_headers)?;
    let (signed, basic_date) = read_date(date.clone(), Zone::IsoOnly)?;
    let token = parameter("X-Amz-Security-Token").map(|token| match token {
        Cow::Borrowed(token) => Cow::Borrowed(token.as_bytes()),
        Cow::Owned(token) => Cow::Owned(token.into_bytes()),
    });
    let header = || headers.get("x-amz-security-token").map(|v| Cow::Borrowed(v.as_bytes()));
    Ok(Claim {
        location: Location::Query,
        credential: credential.clone(),
        signed_headers: signed_headers.clone(),
        signature: signature.clone(),
        signed,
        basic_date,
        token: token.or_else(header),
        expires: parameter("X-Amz-Expires").and_then(|expires| expires.parse().ok()),
    })
}

/// The front door splits at commas and spaces alike.
fn pieces(parts: &str) -> impl DoubleEndedIterator<Item = &str> {
    // Two splits at one byte each are several times as fast as one at either.
    parts.split(',').flat_map(|part| part.split(' ')).filter(|piece| !piece.is_empty())
}

fn check_host_signed(signed_headers: &str) -> Result<(), Refusal> {
    if signed_headers.split(';').any(|name| name == "host") {
        Ok(())
    } else {
        Err(Refusal::HostNotSigned)
    }
}

/// Which ways to write a date count.
#[derive(Clone, Copy)]
enum Zone {
    /// ISO 8601, basic or extended, in UTC.
    IsoOnly,
    /// Also RFC 1123, as in a `Date` header.
    Any,
}

fn read_date(text: Cow<'_, str>, zone: Zone) -> Result<(Timestamp, Cow<'_, str>), Refusal> {
    let iso = text.ends_with('Z').then(|| Timestamp::parse_iso(&text).ok()).flatten();
    let signed = match zone {
        Zone::IsoOnly => iso,
        Zone::Any => iso.or_else(|| Timestamp::parse_rfc1123(&text).ok()),
    };
    let Some(signed) = signed else {
        return Err(Refusal::BadDate { text: text.into_owned() });
    };
    let signed = super::whole_seconds(signed);
    let bytes = text.as_bytes();
    let basic = bytes.len() == 16
        && bytes[8] == b'T'
        && bytes.iter().enumerate().all(|(n, b)| matches!(n, 8 | 15) || b.is_ascii_digit());
    Ok((signed, if basic { text } else { signed.iso_basic().into() }))
}

fn text(value: &http::HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}
