//! `durastack env`: what a shell needs, and must not have, to talk to durastack.

use crate::console;
use anyhow::Result;
use clap::Args;
use std::fmt::Write;

#[derive(Args)]
pub(crate) struct Flags {
    /// Port that durastack listens on
    #[arg(long, env = "DURASTACK_PORT", default_value_t = 4566)]
    port: u16,
    /// Region that clients shall use
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Region that Alibaba Cloud's clients shall use
    #[arg(long, default_value = "cn-hangzhou")]
    aliyun_region: String,
}

/// Variables that would lead a client elsewhere, or make it sign with something else.
const UNSET: [&str; 17] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ENDPOINT_URL_LAMBDA",
    "AWS_ENDPOINT_URL_STS",
    "ALIBABA_CLOUD_SECURITY_TOKEN",
    "ALIBABA_CLOUD_PROFILE",
    "ALIBABA_CLOUD_ROLE_ARN",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
    "ALIBABA_CLOUD_CREDENTIALS_URI",
    "ALIBABA_CLOUD_CREDENTIALS_FILE",
    // Older names that terraform's provider looks at first.
    "ALICLOUD_ACCESS_KEY",
    "ALICLOUD_SECRET_KEY",
    "ALICLOUD_SECURITY_TOKEN",
    "ALICLOUD_PROFILE",
];

pub(crate) fn print(flags: &Flags) -> Result<()> {
    console::print(&text(flags))
}

fn text(flags: &Flags) -> String {
    let loopback = "localhost,127.0.0.1,::1";
    let set = [
        ("AWS_ENDPOINT_URL", format!("http://localhost:{}", flags.port)),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_REGION", flags.region.clone()),
        ("AWS_DEFAULT_REGION", flags.region.clone()),
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "test".to_owned()),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "test".to_owned()),
        ("ALIBABA_CLOUD_REGION_ID", flags.aliyun_region.clone()),
        ("ALIBABA_CLOUD_REGION", flags.aliyun_region.clone()),
        // Terraform's provider reads either; SDKs are given their endpoint in code.
        ("ALIBABA_CLOUD_ENDPOINT_FNF", format!("localhost:{}", flags.port)),
        ("FNF_ENDPOINT", format!("localhost:{}", flags.port)),
        ("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true".to_owned()),
        ("NO_PROXY", format!("{loopback}${{NO_PROXY:+,$NO_PROXY}}")),
        ("no_proxy", format!("{loopback}${{no_proxy:+,$no_proxy}}")),
    ];
    let mut text = String::new();
    for (name, value) in set {
        writeln!(text, "export {name}=\"{value}\"").expect("writing to a String");
    }
    writeln!(text, "unset {}", UNSET.join(" ")).expect("writing to a String");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_learns_where_and_as_whom() {
        let text = text(&Flags {
            port: 4567,
            region: "eu-west-1".to_owned(),
            aliyun_region: "cn-beijing".to_owned(),
        });
        assert!(text.contains("export AWS_ENDPOINT_URL=\"http://localhost:4567\"\n"));
        assert!(text.contains("export AWS_REGION=\"eu-west-1\"\n"));
        assert!(text.contains("export ALIBABA_CLOUD_ACCESS_KEY_SECRET=\"test\"\n"));
        assert!(text.contains("export ALIBABA_CLOUD_REGION_ID=\"cn-beijing\"\n"));
        assert!(text.contains(" AWS_ENDPOINT_URL_STS ALIBABA_CLOUD_SECURITY_TOKEN "));
    }
}
