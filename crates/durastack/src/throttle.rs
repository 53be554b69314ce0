//! Which quotas of requests hold: those that the clouds publish, none, or those in a file of the user's.

use anyhow::{Context, Result};
use durastack_clock::Clock;
use durastack_svc_fnf::Fnf;
use durastack_svc_lambda::Lambda;
use durastack_throttle::{Profile, Throttle};
use durastack_wire::{Routes, rpc};
use std::path::{Path, PathBuf};

/// What `--throttle` chose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Quotas {
    #[default]
    Off,
    Cloud,
    File(PathBuf),
}

impl Quotas {
    /// What the user wrote: `cloud`, `off`, or a file relative to `base`. A file of such a name is `./cloud`.
    pub(crate) fn chosen(written: &Path, base: &Path) -> Self {
        match written.to_str() {
            Some("off") => Self::Off,
            Some("cloud") => Self::Cloud,
            _ => Self::File(base.join(written)),
        }
    }

    /// The throttle that keeps to them.
    pub(crate) fn throttle(
        &self,
        lambda: &Routes<Lambda>,
        fnf: &rpc::Routes<Fnf>,
        clock: Clock,
    ) -> Result<Throttle> {
        let profile = match self {
            Self::Off => Profile::off(),
            Self::Cloud => Profile::cloud(&operations(lambda, fnf)),
            Self::File(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("failed to read {}", path.display()))?;
                Profile::read(&text, &operations(lambda, fnf))
                    .with_context(|| format!("failed to understand {}", path.display()))?
            }
        };
        Ok(Throttle::new(&profile, clock))
    }
}

/// What a quota may name. The token service is not here: no figures of it are published.
fn operations(
    lambda: &Routes<Lambda>,
    fnf: &rpc::Routes<Fnf>,
) -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("lambda", lambda.ops().map(|op| op.name).collect()),
        ("fnf", fnf.ops().map(|op| op.name).collect()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_or_a_file_is_chosen() {
        let chosen = |written: &str| Quotas::chosen(Path::new(written), Path::new("conf"));
        assert_eq!(chosen("off"), Quotas::Off);
        assert_eq!(chosen("cloud"), Quotas::Cloud);
        assert_eq!(chosen("./cloud"), Quotas::File("conf/./cloud".into()));
        assert_eq!(chosen("quotas.toml"), Quotas::File("conf/quotas.toml".into()));
        assert_eq!(chosen("/etc/quotas.toml"), Quotas::File("/etc/quotas.toml".into()));
    }

    /// It would panic: each operation that the published quotas name must stand in the service's table.
    #[test]
    fn the_published_quotas_fit_the_tables() {
        let clock = Clock::system(std::time::Duration::ZERO);
        assert!(
            Quotas::Cloud
                .throttle(&durastack_svc_lambda::routes(), &durastack_svc_fnf::routes(), clock)
                .is_ok()
        );
    }
}
