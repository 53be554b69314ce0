//! AWS Signature Version 4, from the verifying side: a complete request with its body in memory, any service but S3.
//!
//! The order of the steps is the front door's, and which step fails first can be seen from outside: a request that is
//! too old *and* signed with an unknown key is reported as too old.

mod authorization;
pub mod canonical;
mod clues;
pub(crate) mod encoding;
pub(crate) mod signing_key;

pub use signing_key::derive;

use crate::{Keyring, Mismatch, Refusal, ScopeFaults, keyring::Holder};
use authorization::{ALGORITHM, Claim};
use canonical::{Location, Parts, PathRule, Reading};
use durastack_clock::Timestamp;
use durastack_names::{AccountId, FunctionName, Region};
use hmac::Mac;
use http::HeaderMap;
use sha2::{Digest, Sha256};
use signing_key::{HmacSha256, keyed};
use std::{borrow::Cow, time::Duration};
use subtle::ConstantTimeEq;

/// The last part of a credential.
const TERMINATOR: &str = "aws4_request";

/// SHA-256 of nothing: most reading requests have no body.
const EMPTY_SHA256: &[u8; 64] = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A request as it came over the wire.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// As sent.
    pub method: &'a str,
    /// Path and query exactly as sent: nothing decoded, nothing added.
    pub target: &'a str,
    /// All headers; `host` among them.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    fn query(&self) -> &'a str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }
}

/// What a service asks of a signature.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The signing name that the credential must have, such as `lambda`, `states` or `sts`.
    pub service: &'a str,
    /// How far the date of a request may lie from the wall time, either way; exactly as far still counts.
    pub window: Duration,
    /// The one region that a global endpoint takes; absent, every region of AWS's shape counts.
    pub region: Option<&'a Region>,
}

impl<'a> Rules<'a> {
    /// The rules of a service, by its signing name: a window of 15 minutes for those known to have it, else 5.
    ///
    /// Source: the "- 5 min." and "- 15 min." of error texts in public records, service by service; services without a
    /// record are taken to have 5.
    #[must_use]
    pub fn of(service: &'a str) -> Self {
        let minutes = match service {
            "sts" | "sqs" | "sns" | "dynamodb" | "ecr" | "iam" | "s3" => 15,
            _ => 5,
        };
        Self { service, window: Duration::from_secs(60 * minutes), region: None }
    }
}

/// Who sent a request that is intact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The id of the key that signed.
    pub access_key_id: String,
    /// Whose resources the key reaches.
    pub account: AccountId,
    /// From the credential's scope.
    pub region: Region,
    /// From the credential's scope, as the rules expected it.
    pub service: String,
    /// The function whose process signed, if it was one.
    pub function: Option<FunctionName>,
}

/// What a request says about its signer. Nothing of it is verified, or even well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeHint<'a> {
    /// The first part of the credential.
    pub access_key_id: Cow<'a, str>,
    /// The third part.
    pub region: Cow<'a, str>,
    /// The fourth part.
    pub service: Cow<'a, str>,
    /// Whether the credential is in the query.
    pub presigned: bool,
}

/// Reads the credential without verifying anything, so that a service can be picked whose rules then apply. Absent if
/// there is no credential of at least four parts, in header or query.
#[must_use]
pub fn scope_hint<'a>(request: &Request<'a>) -> Option<ScopeHint<'a>> {
    let (credential, location) = authorization::credential(request)?;
    let presigned = location == Location::Query;
    let part = |n| match &credential {
        Cow::Borrowed(text) => text.split('/').nth(n).map(Cow::Borrowed),
        Cow::Owned(text) => text.split('/').nth(n).map(|part| Cow::Owned(part.to_owned())),
    };
    Some(ScopeHint { access_key_id: part(0)?, region: part(2)?, service: part(3)?, presigned })
}

/// Verifies that a request was signed, by a key of `keys`, as it arrived, for this service and about now. `wall` is the
/// wall time: a skipped month on the virtual clock must disturb no client.
///
/// # Errors
///
/// The first step that fails, as [`Refusal`].
pub fn verify(
    request: &Request<'_>,
    rules: &Rules<'_>,
    keys: &Keyring,
    wall: Timestamp,
) -> Result<Verified, Refusal> {
    if !encoding::is_well_formed(request.query()) {
        return Err(Refusal::MalformedQuery);
    }
    let claim = authorization::read(request)?;
    check_clock(&claim, rules.window, wall)?;
    let scope = Scope::read(&claim.credential)?;
    let region = scope.check(rules, &claim.basic_date)?;
    let holder = keys.holder(scope.access_key_id, claim.token.as_deref(), wall)?;
    check_signature(request, &claim, &scope, keys, &holder)?;
    Ok(Verified {
        access_key_id: scope.access_key_id.to_owned(),
        account: holder.account,
        region,
        service: scope.service.to_owned(),
        function: holder.function,
    })
}

fn check_clock(claim: &Claim<'_>, window: Duration, wall: Timestamp) -> Result<(), Refusal> {
    // Dates have whole seconds, so the time here is taken as such too: else half a second would decide at the edge.
    let (signed, now) = (claim.signed, whole_seconds(wall));
    // Outside S3 a presigned request cannot outlive the service's window, whatever it asks for.
    let lifetime = claim.expires.map_or(window, |s| window.min(Duration::from_secs(s.into())));
    if now.since(signed) > lifetime {
        return Err(Refusal::Expired { signed, now, window: lifetime });
    }
    if signed.since(now) > window {
        return Err(Refusal::NotYetCurrent { signed, now, window });
    }
    Ok(())
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis().saturating_sub(at.millis().rem_euclid(1000)))
}

/// The parts of a credential; the terminator is checked and forgotten.
struct Scope<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    terminator: &'a str,
    /// All behind the access key id.
    text: &'a str,
}

impl<'a> Scope<'a> {
    fn read(credential: &'a str) -> Result<Self, Refusal> {
        let bad = || Refusal::BadCredential { credential: credential.to_owned() };
        let (access_key_id, text) = credential.split_once('/').ok_or_else(bad)?;
        let mut parts = text.split('/');
        let mut part = || parts.next().ok_or_else(bad);
        let (date, region, service, terminator) = (part()?, part()?, part()?, part()?);
        if parts.next().is_some() {
            return Err(bad());
        }
        Ok(Self { access_key_id, date, region, service, terminator, text })
    }

    /// Whether this scope is the one of the service, today, in a region that can be. All faults are told at once.
    fn check(&self, rules: &Rules<'_>, basic_date: &str) -> Result<Region, Refusal> {
        let own = |text: &str| Some(text.to_owned());
        let region = self.region.parse::<Region>().ok().filter(|region| match rules.region {
            Some(only) => region == only,
            None => region.is_aws_shaped(),
        });
        let same_date = basic_date.strip_suffix('Z').and_then(|d| d.split_once('T'));
        let same_date = same_date.is_some_and(|(day, _)| day == self.date);
        let faults = ScopeFaults {
            region: if region.is_none() { own(self.region) } else { None },
            service: if self.service == rules.service { None } else { own(rules.service) },
            terminator: if self.terminator == TERMINATOR { None } else { own(self.terminator) },
            date: if same_date { None } else { Some((self.date.into(), basic_date.into())) },
        };
        match region {
            Some(region) if faults.is_empty() => Ok(region),
            _ => Err(Refusal::BadScope(faults)),
        }
    }
}

fn check_signature(
    request: &Request<'_>,
    claim: &Claim<'_>,
    scope: &Scope<'_>,
    keys: &Keyring,
    holder: &Holder<'_>,
) -> Result<(), Refusal> {
    let known = keys.signing_keys.get(&claim.credential);
    let fresh = known.is_none();
    let key = known.unwrap_or_else(|| {
        let secret = keys.secret_of(holder);
        keyed(&derive(&secret, scope.date, scope.region, scope.service))
    });
    let payload = payload_hash(request.body);
    let parts = Parts {
        method: request.method,
        location: claim.location,
        target: request.target,
        headers: request.headers,
        signed_headers: &claim.signed_headers,
        payload: &payload,
    };
    let attempt = Attempt { claim, scope: scope.text, key: &key };
    let fits = parts.readings().any(|reading| attempt.fits(&parts, PathRule::Generic, reading));
    if fits && parts.absent_headers().next().is_none() && hash_header_fits(request, &payload) {
        if fresh {
            keys.signing_keys.remember(&claim.credential, &key);
        }
        return Ok(());
    }
    let canonical = parts.canonical_request(PathRule::Generic, Reading::default());
    Err(Refusal::Mismatch(Box::new(Mismatch {
        access_key_id: scope.access_key_id.to_owned(),
        string_to_sign: string_to_sign(&canonical, &claim.basic_date, scope.text),
        canonical_request: String::from_utf8_lossy(&canonical).into_owned(),
        clues: clues::find(&parts, &attempt, hash_header_fits(request, &payload)),
    })))
}

/// A claimed signature, and all that is needed to see whether some canonical request has it.
struct Attempt<'a> {
    claim: &'a Claim<'a>,
    scope: &'a str,
    key: &'a HmacSha256,
}

impl Attempt<'_> {
    fn fits(&self, parts: &Parts<'_>, rule: PathRule, reading: Reading) -> bool {
        let canonical = parts.canonical_request(rule, reading);
        let mut mac = self.key.clone();
        mac.update(string_to_sign(&canonical, &self.claim.basic_date, self.scope).as_bytes());
        let expected = encoding::hex(&mac.finalize().into_bytes().into());
        expected.ct_eq(self.claim.signature.as_bytes()).into()
    }
}

/// The text that is signed in the end. `scope` is everything of the credential behind the access key id.
#[must_use]
pub fn string_to_sign(canonical_request: &[u8], basic_date: &str, scope: &str) -> String {
    let hash = encoding::hex(&Sha256::digest(canonical_request).into());
    let mut text = String::with_capacity(ALGORITHM.len() + basic_date.len() + scope.len() + 67);
    for line in [ALGORITHM, basic_date, scope] {
        text.push_str(line);
        text.push('\n');
    }
    text.extend(hash.map(char::from));
    text
}

fn payload_hash(body: &[u8]) -> [u8; 64] {
    if body.is_empty() { *EMPTY_SHA256 } else { encoding::hex(&Sha256::digest(body).into()) }
}

/// A client that sends the hash of its body must send the right one. S3's words such as `UNSIGNED-PAYLOAD` are none
/// here, as the real services other than S3 have it.
fn hash_header_fits(request: &Request<'_>, payload: &[u8]) -> bool {
    request.headers.get_all("x-amz-content-sha256").iter().all(|value| value.as_bytes() == payload)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
