//! May this request in, and to which service: the host it names, the page it comes from, who signed it.
//!
//! Everything happens before a service sees the request, in this order: `Host`, then `Origin`, then the door, then the
//! signature, then whether the service is built. What a service makes of the request is not known here.

mod aliyun;
mod door;
mod frame;
mod hosts;
mod limits;
mod origins;
mod refused;
#[cfg(test)]
mod tests;
mod throttle;

pub use door::{Door, Service};
pub use hosts::BadHost;

use bytes::Bytes;
use door::Seen;
use durastack_auth::{
    Keyring, Rules,
    aliyun::{Nonces, Vocabulary},
    sigv4,
};
use durastack_clock::{Clock, Timestamp};
use durastack_names::{AccountId, Region};
use durastack_throttle::Throttle;
use durastack_wire::{Caller, rpc};
use frame::Frame;
use hosts::Hosts;
use http::{HeaderMap, Method, Request, Response, Uri, header, request::Parts};
use origins::Origins;
use refused::Refused;
use std::{net::SocketAddr, sync::Arc};
use tracing::warn;

/// Whether signatures are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Auth {
    /// Every request to a service must be signed with a known key.
    #[default]
    Strict,
    /// Nothing is verified; the key id and the scope of a signature, if there is one, are believed.
    Off,
}

/// What the user may choose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether signatures are verified.
    pub auth: Auth,
    /// More names by which this server may be called: `name`, or `*.name` for all below it.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may call this server, such as `http://localhost:3000`.
    pub allowed_origins: Vec<String>,
    /// In whose words Alibaba Cloud's clients are refused.
    pub aliyun_errors: Vocabulary,
    /// Whether a nonce of Alibaba Cloud's signatures counts once only; off for tools that record and replay.
    pub aliyun_nonce: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auth: Auth::default(),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            aliyun_errors: Vocabulary::default(),
            aliyun_nonce: true,
        }
    }
}

/// The gate of one server.
#[derive(Debug)]
pub struct Gate {
    auth: Auth,
    hosts: Hosts,
    origins: Origins,
    aliyun_errors: Vocabulary,
    /// Absent where a nonce may come again.
    nonces: Option<Nonces>,
    keys: Arc<Keyring>,
    throttle: Throttle,
    clock: Clock,
}

/// A request that may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// To the admin API, which knows no callers.
    Admin,
    /// To a service that is built.
    Service {
        /// Which.
        service: Service,
        /// Who sent it.
        caller: Caller,
    },
    /// To CloudFlow, with its parameters read. The operation it names need not be one, nor the API version this one's.
    Fnf(Box<rpc::Request>),
}

impl Gate {
    /// # Errors
    ///
    /// [`BadHost`] when a name in [`Settings::allowed_hosts`] is no host's name.
    pub fn new(settings: Settings, keys: Arc<Keyring>, clock: Clock) -> Result<Self, BadHost> {
        Ok(Self {
            auth: settings.auth,
            hosts: Hosts::new(&settings.allowed_hosts)?,
            origins: Origins::new(settings.allowed_origins),
            aliyun_errors: settings.aliyun_errors,
            nonces: settings.aliyun_nonce.then(Nonces::new),
            keys,
            throttle: Throttle::off(clock.clone()),
            clock,
        })
    }

    /// Lets a request in, or answers it: 403 for a foreign host or page, the service's own refusal for a signature that
    /// does not hold, 501 for what is not built, 404 for what leads nowhere. `peer` is the other end of the connection.
    ///
    /// A refusal is logged with its explanation; neither secrets nor tokens are.
    ///
    /// # Errors
    ///
    /// The answer, ready to be sent.
    pub fn admit(
        &self,
        request: &Request<Bytes>,
        peer: SocketAddr,
        request_id: &str,
    ) -> Result<Admitted, Box<Response<Bytes>>> {
        let seen = Seen::of_request(request);
        let door = Door::of(&seen);
        self.decide(&seen, &door, peer, request_id)
            .map_err(|refused| Box::new(answer(&refused, &seen, &door, request_id)))
    }

    fn decide(
        &self,
        seen: &Seen<'_>,
        door: &Door<'_>,
        peer: SocketAddr,
        request_id: &str,
    ) -> Result<Admitted, Refused> {
        self.screen(seen.uri, seen.headers)?;
        match door {
            Door::Admin => {
                let reads = matches!(*seen.method, Method::GET | Method::HEAD);
                if reads || peer.ip().to_canonical().is_loopback() {
                    Ok(Admitted::Admin)
                } else {
                    Err(Refused::AdminFromAfar { peer: peer.ip() })
                }
            }
            Door::Service(service) => {
                let caller = self.caller(seen, service.signing_name())?;
                Ok(Admitted::Service { service: *service, caller })
            }
            Door::Unbuilt(service) => {
                // Differs: S3 signs by rules of its own that are not verified here, so an honest 501 comes before the
                // signature; it would be refused for the wrong reason else.
                if !frame::has_own_signature_rules(service) {
                    self.caller(seen, service)?;
                }
                Err(Refused::NotBuilt {
                    service: service.to_string(),
                    operation: door::operation(seen),
                })
            }
            Door::Fnf => self.rpc_request(seen, request_id).map(Box::new).map(Admitted::Fnf),
            Door::Nowhere => Err(Refused::Nowhere),
        }
    }

    /// What must hold on every path, whoever signed.
    fn screen(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        self.hosts.check(uri, headers)?;
        self.origins.check(headers)
    }

    fn caller(&self, seen: &Seen<'_>, service: &str) -> Result<Caller, Refused> {
        match self.auth {
            Auth::Strict => self.verified(seen, service, self.clock.wall()),
            Auth::Off => Ok(self.believed(seen)),
        }
    }

    fn verified(&self, seen: &Seen<'_>, service: &str, wall: Timestamp) -> Result<Caller, Refused> {
        let verified = sigv4::verify(&seen.signed(), &Rules::of(service), &self.keys, wall)
            .map_err(Refused::Signature)?;
        Ok(Caller {
            account: verified.account,
            region: verified.region,
            access_key_id: verified.access_key_id,
            function: verified.function,
        })
    }

    fn believed(&self, seen: &Seen<'_>) -> Caller {
        let hint = sigv4::scope_hint(&seen.signed());
        let id = hint.as_ref().map_or("", |hint| &*hint.access_key_id);
        let token = seen.headers.get("x-amz-security-token").map(http::HeaderValue::as_bytes);
        let owner = self.keys.claimed_owner(id, token);
        let (account, function) = owner.unwrap_or_else(|| (AccountId::local(), None));
        let region = hint.as_ref().and_then(|hint| hint.region.parse().ok());
        let region = region.filter(Region::is_aws_shaped).unwrap_or_else(Region::us_east_1);
        Caller { account, region, access_key_id: id.to_owned(), function }
    }
}

fn answer(
    refused: &Refused,
    seen: &Seen<'_>,
    door: &Door<'_>,
    request_id: &str,
) -> Response<Bytes> {
    let path = seen.uri.path();
    warn!(method = %seen.method, path, reason = %refused, "refused a request");
    Frame::of(seen, door).refusal(refused, request_id)
}

impl<'a> Seen<'a> {
    fn of_request(request: &'a Request<Bytes>) -> Self {
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        Self { method, uri, headers, body: request.body() }
    }

    fn of_head(head: &'a Parts) -> Self {
        Self { method: &head.method, uri: &head.uri, headers: &head.headers, body: &[] }
    }

    /// The `Host` header without scheme, which some clients send there; empty if there is none.
    fn host(&self) -> &'a str {
        let host = self.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        hosts::without_scheme(host.unwrap_or_default())
    }

    /// The parameters of the RPC protocol.
    fn parameters(&self) -> Result<rpc::Parameters, rpc::TooMany> {
        let query = self.uri.query().unwrap_or_default();
        rpc::Parameters::read(query, self.headers, self.body)
    }

    /// The request as its signature covers it.
    fn signed(&self) -> sigv4::Request<'a> {
        let target = self.uri.path_and_query().map_or("/", |target| target.as_str());
        let (headers, body) = (self.headers, self.body);
        sigv4::Request { method: self.method.as_str(), target, headers, body }
    }
}
