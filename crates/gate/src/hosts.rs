//! By which names this server may be called. A page that makes a name of its own point at this machine (DNS rebinding)
//! is told by the name, which a browser always sends.

use crate::refused::Refused;
use http::{HeaderMap, Uri, header};
use std::net::{IpAddr, Ipv6Addr};

/// Names that mean this machine, or a container's host, wherever they are used.
const ALWAYS: [&str; 5] = [
    "localhost",
    "*.localhost",
    "host.docker.internal",
    "localhost.localstack.cloud",
    "*.localhost.localstack.cloud",
];

/// Names that are allowed.
#[derive(Debug)]
pub(crate) struct Hosts {
    added: Vec<String>,
}

/// A name to be allowed that no host can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no host's name; give a name such as 'durastack', an address, or '*.name'")]
pub struct BadHost(pub String);

impl Hosts {
    pub(crate) fn new(added: &[String]) -> Result<Self, BadHost> {
        let read = |text: &String| {
            let (wild, rest) = text.strip_prefix("*.").map_or(("", &**text), |rest| ("*.", rest));
            let name = name(rest).ok_or_else(|| BadHost(text.clone()))?;
            Ok(format!("{wild}{}", name.to_ascii_lowercase()))
        };
        Ok(Self { added: added.iter().map(read).collect::<Result<_, _>>()? })
    }

    /// Both the header and, if the request line has one, the authority there must be allowed.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next().map(|host| String::from_utf8_lossy(host.as_bytes()));
        let refused = |host: &str| Err(Refused::Host { host: host.to_owned() });
        match (host, hosts.next()) {
            (None, _) => return refused(""),
            (Some(host), None) if self.allows(&host) => {}
            (Some(host), _) => return refused(&host),
        }
        match uri.authority() {
            Some(authority) if !self.allows(authority.as_str()) => refused(authority.as_str()),
            _ => Ok(()),
        }
    }

    fn allows(&self, host: &str) -> bool {
        let Some(name) = name(host) else { return false };
        if let Ok(address) = name.parse::<IpAddr>()
            && address.to_canonical().is_loopback()
        {
            return true;
        }
        let rules = ALWAYS.into_iter().chain(self.added.iter().map(String::as_str));
        rules.into_iter().any(|rule| fits(rule, name))
    }
}

fn fits(rule: &str, name: &str) -> bool {
    let Some(below) = rule.strip_prefix('*') else { return rule.eq_ignore_ascii_case(name) };
    name.len()
        .checked_sub(below.len())
        .and_then(|at| name.split_at_checked(at))
        .is_some_and(|(first, rest)| !first.is_empty() && rest.eq_ignore_ascii_case(below))
}

/// The name or address of a `Host` header, without scheme, port, brackets and final dot. Some clients send a whole
/// endpoint, scheme included.
fn name(host: &str) -> Option<&str> {
    let host = without_scheme(host);
    let host = host.strip_suffix('/').unwrap_or(host);
    if let Some(rest) = host.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let port_fits = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return (port_fits && address.parse::<Ipv6Addr>().is_ok()).then_some(address);
    }
    let name = match host.split_once(':') {
        Some((name, port)) if is_port(port) => name,
        Some(_) => return host.parse::<Ipv6Addr>().is_ok().then_some(host),
        None => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (!name.is_empty() && !name.starts_with('.') && name.bytes().all(fits)).then_some(name)
}

/// What follows `http://` or `https://`, if the text begins so.
pub(crate) fn without_scheme(text: &str) -> &str {
    ["http://", "https://"]
        .into_iter()
        .find_map(|scheme| {
            let (head, rest) = text.split_at_checked(scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then_some(rest)
        })
        .unwrap_or(text)
}

fn is_port(text: &str) -> bool {
    text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, allowed: bool) {
        let added =
            ["durastack".to_owned(), "*.Example.test".to_owned(), "10.0.0.7:4566".to_owned()];
        assert_eq!(Hosts::new(&added).unwrap().allows(host), allowed, "{host}");
    }

    #[test]
    fn loopback_in_all_its_spellings() {
        for host in [
            "localhost",
            "LocalHost:4566",
            "localhost.",
            "http://localhost:4566",
            "http://127.0.0.1:4566",
            "HTTPS://localhost/",
            "127.0.0.1",
            "127.8.9.10:80",
            "[::1]:4566",
            "[::1]",
            "::1",
            "[::ffff:127.0.0.1]:4566",
            "api.localhost:4566",
            "host.docker.internal:4566",
            "localhost.localstack.cloud:4566",
            "lambda.us-east-1.localhost.localstack.cloud",
        ] {
            check(host, true);
        }
    }

    #[test]
    fn names_that_a_user_added() {
        for host in ["durastack:4566", "DURASTACK", "a.example.test", "10.0.0.7"] {
            check(host, true);
        }
        assert_eq!(Hosts::new(&["a b".to_owned()]).unwrap_err(), BadHost("a b".to_owned()));
        assert!(Hosts::new(&["*".to_owned()]).is_err());
    }

    #[test]
    fn everything_else_is_refused() {
        for host in [
            "",
            ".",
            ":4566",
            "evil.test",
            "localhost.evil.test",
            "evil-localhost",
            "evillocalhost.localstack.cloud",
            ".localhost",
            "localhost:4566@evil.test",
            "localhost:4566:1",
            "localhost,evil.test",
            "localhost/evil",
            "user@localhost",
            "127.0.0.1.evil.test",
            "0.0.0.0:4566",
            "192.168.1.5",
            "[::1",
            "[::2]",
            "example.test",
            "lambda.us-east-1.amazonaws.com",
            "é.localhost",
        ] {
            check(host, false);
        }
    }

    #[test]
    fn the_request_line_may_name_no_other_host() {
        let hosts = Hosts::new(&[]).unwrap();
        let mut headers = HeaderMap::new();
        let check = |uri: &'static str, headers: &HeaderMap| {
            hosts.check(&Uri::from_static(uri), headers).is_ok()
        };
        assert!(!check("/", &headers));
        headers.insert(header::HOST, "localhost".parse().unwrap());
        assert!(check("/", &headers) && check("http://localhost:4566/", &headers));
        assert!(!check("http://evil.test/", &headers));
        headers.append(header::HOST, "localhost".parse().unwrap());
        assert!(!check("/", &headers));
    }
}
