//! Which web pages may call this server: none but its own, and those that the user names.
//!
//! The default keys are public, and a presigned URL or a form needs no header that a browser would ask leave for; so any
//! page that the user visits could create and run a function, if this did not tell it apart.

use crate::{hosts::without_scheme, refused::Refused};
use http::{HeaderMap, header};

/// Origins that are allowed.
#[derive(Debug)]
pub(crate) struct Origins {
    allowed: Vec<String>,
}

impl Origins {
    pub(crate) fn new(allowed: Vec<String>) -> Self {
        let plain = |origin: String| origin.trim_end_matches('/').to_owned();
        Self { allowed: allowed.into_iter().map(plain).collect() }
    }

    /// A browser sends `Origin` with all but the simplest requests, and `Sec-Fetch-Site` with all.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let mut named = false;
        for origin in headers.get_all(header::ORIGIN) {
            let origin = String::from_utf8_lossy(origin.as_bytes());
            let allowed = self.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(&origin));
            if !allowed && !is_own(&origin, headers) {
                return Err(Refused::Origin { origin: origin.into_owned() });
            }
            named |= allowed;
        }
        let from_elsewhere = headers.get_all("sec-fetch-site").iter().any(|site| {
            let site = site.as_bytes();
            site.eq_ignore_ascii_case(b"cross-site") || site.eq_ignore_ascii_case(b"same-site")
        });
        if from_elsewhere && !named { Err(Refused::CrossSite) } else { Ok(()) }
    }
}

/// The page was served from here: same host and port, over plain HTTP, which is all that is served.
fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let host = without_scheme(host).trim_end_matches('/');
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    scheme.eq_ignore_ascii_case("http")
        && without_default_port(authority).eq_ignore_ascii_case(without_default_port(host))
}

/// A browser leaves port 80 out of both headers, other clients may not.
fn without_default_port(authority: &str) -> &str {
    authority.strip_suffix(":80").unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `headers` are lines `name: value`; the host is `localhost:4566`.
    fn check(headers: &[&str], allowed: bool) {
        let mut map = HeaderMap::new();
        map.insert(header::HOST, "localhost:4566".parse().unwrap());
        for line in headers {
            let (name, value) = line.split_once(": ").unwrap();
            let name: http::HeaderName = name.parse().unwrap();
            map.append(name, value.parse().unwrap());
        }
        let origins = Origins::new(vec!["http://localhost:3000/".to_owned()]);
        assert_eq!(origins.check(&map).is_ok(), allowed, "{headers:?}");
    }

    #[test]
    fn programs_and_our_own_page_may() {
        check(&[], true);
        check(&["sec-fetch-site: none"], true);
        check(&["sec-fetch-site: same-origin", "origin: http://localhost:4566"], true);
        check(&["origin: http://LOCALHOST:4566"], true);
    }

    #[test]
    fn other_pages_may_not() {
        for origin in [
            "http://evil.test",
            "null",
            "",
            "https://localhost:4566",
            "http://localhost",
            "http://localhost:45660",
            "http://127.0.0.1:4566",
            "file://",
        ] {
            check(&[&format!("origin: {origin}")], false);
        }
        check(&["origin: http://localhost:4566", "origin: http://evil.test"], false);
        for site in ["cross-site", "same-site", "Cross-Site"] {
            check(&[&format!("sec-fetch-site: {site}")], false);
            check(&[&format!("sec-fetch-site: {site}"), "origin: http://localhost:4566"], false);
        }
    }

    #[test]
    fn unless_the_user_names_them() {
        check(&["origin: http://localhost:3000"], true);
        check(&["origin: http://localhost:3000", "sec-fetch-site: same-site"], true);
        check(&["origin: http://localhost:3000", "origin: http://evil.test"], false);
    }
}
