//! Alibaba Cloud's door: the parameters are read once, for the signature and for the service; then who sent them, and to
//! which region.

use crate::{Auth, Gate, door::Seen, refused::Refused};
use durastack_auth::aliyun::{self, Parameter, Verified};
use durastack_names::{AccountId, Region};
use durastack_wire::{Caller, rpc};
use http::Method;

/// Where a request goes that names no region: the region that the product's documentation uses.
const DEFAULT_REGION: &str = "cn-hangzhou";

impl Gate {
    /// Establishes who sent a request, and reads it.
    pub(crate) fn rpc_request(
        &self,
        seen: &Seen<'_>,
        request_id: &str,
    ) -> Result<rpc::Request, Refused> {
        // Before the signature, which covers any method: what is asked of no method must do nothing, whoever asks.
        if !matches!(*seen.method, Method::GET | Method::POST) {
            return Err(Refused::RpcMethod { method: seen.method.to_string() });
        }
        let parameters = seen.parameters().map_err(Refused::TooManyParameters)?;
        let signed: Vec<_> = parameters
            .iter()
            .map(|p| Parameter { name: &p.name, value: &p.value, in_query: p.in_query })
            .collect();
        let request = aliyun::Request {
            method: seen.method.as_str(),
            path: seen.uri.path(),
            headers: seen.headers,
            body: seen.body,
            parameters: &signed,
        };
        let sender = match self.auth {
            Auth::Strict => {
                aliyun::verify(&request, &self.keys, self.nonces.as_ref(), self.clock.wall())
                    .map_err(|refusal| {
                        let vocabulary = self.aliyun_errors;
                        Refused::Aliyun { refusal, vocabulary }
                    })?
            }
            Auth::Off => self.believed_rpc(&request),
        };
        let Verified { access_key_id, account, function, action, version } = sender;
        let region = region(&parameters, seen.host()).map_err(Refused::Region)?;
        Ok(rpc::Request {
            action,
            version,
            request_id: rpc::request_id(Some(&parameters), request_id),
            parameters,
            caller: Caller { account, region, access_key_id, function },
            host: seen.host().to_owned(),
        })
    }

    fn believed_rpc(&self, request: &aliyun::Request<'_>) -> Verified {
        let aliyun::Hint { access_key_id, token, action, version } = aliyun::hint(request);
        let owner = self.keys.claimed_owner(access_key_id, token.map(str::as_bytes));
        let (account, function) = owner.unwrap_or_else(|| (AccountId::local(), None));
        Verified {
            access_key_id: access_key_id.to_owned(),
            account,
            function,
            action: action.to_owned(),
            version: version.to_owned(),
        }
    }
}

/// The region that the parameters name, else that of the host, whose label counts only if it is a region's name.
fn region(parameters: &rpc::Parameters, host: &str) -> Result<Region, rpc::BadParameter> {
    let named = parameters.parse("RegionId")?;
    Ok(named
        .or_else(|| region_of_host(host))
        .unwrap_or_else(|| DEFAULT_REGION.parse().expect("the name of a region")))
}

/// The service's own hosts are `<region>.fnf.aliyuncs.com`, `<region>-internal.fnf.aliyuncs.com`, and formerly
/// `<account>.<region>.fnf.aliyuncs.com`; below a local name the same labels mean the same.
fn region_of_host(host: &str) -> Option<Region> {
    let (before, _) = host.split_once(".fnf.")?;
    let label = before.rsplit('.').next()?;
    label.strip_suffix("-internal").unwrap_or(label).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    fn check(query: &str, host: &str, expected: &str) {
        let parameters = rpc::Parameters::read(query, &HeaderMap::new(), b"").unwrap();
        assert_eq!(region(&parameters, host).unwrap().as_str(), expected, "{query} {host}");
    }

    #[test]
    fn a_region_comes_from_the_parameters_the_host_or_nowhere() {
        check("RegionId=cn-beijing", "cn-shanghai.fnf.localhost:4566", "cn-beijing");
        for query in ["", "RegionId=", "regionid=cn-beijing"] {
            check(query, "localhost:4566", "cn-hangzhou");
            check(query, "cn-shanghai.fnf.localhost:4566", "cn-shanghai");
            check(query, "cn-shanghai-internal.fnf.aliyuncs.com", "cn-shanghai");
            check(query, "1234.ap-southeast-1.fnf.aliyuncs.com", "ap-southeast-1");
        }
        check("", "x.fnf.localhost", "cn-hangzhou");
        check("", "", "cn-hangzhou");
    }
}
