//! Quotas as data: which operations share a bucket, how fast it fills, how much it holds. Read from TOML and checked
//! against the operations that there are.

use durastack_names::Region;
use governor::Quota;
use serde::Deserialize;
use std::{collections::BTreeSet, num::NonZeroU32, ops::Range, time::Duration};
use toml::Spanned;

/// The published quotas.
const CLOUD: &str = include_str!("../profiles/cloud.toml");

/// What stands for all operations that no other bucket names.
const OTHERS: &str = "*";

/// The highest rate, in requests per second: no wall clock in milliseconds could tell more apart.
const RATE_MAX: f64 = 1_000_000.0;

/// How long an empty bucket may take to be full, in seconds: a year. Longer is a slip of the pen.
const REFILL_S_MAX: f64 = 31_536_000.0;

/// How many buckets a profile may have, with every exception and every operation of its own counted.
const BUCKETS_MAX: usize = 10_000;

/// The operations that there are, by service: the signing name (`lambda`, `fnf`), then the operations' API names.
pub type Operations<'a> = [(&'a str, Vec<&'a str>)];

/// A profile that holds no call back, the published one, or a user's.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    pub(crate) retry_after: bool,
    pub(crate) buckets: Vec<Bucket>,
}

/// One bucket.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    pub(crate) service: String,
    /// Those that share it.
    pub(crate) operations: Vec<String>,
    pub(crate) scope: Scope,
    pub(crate) quota: Quota,
    /// Regions with another quota; a region stands in one at most.
    pub(crate) exceptions: Vec<(Vec<Region>, Quota)>,
}

/// What has a bucket of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(crate) enum Scope {
    /// An account in a region.
    #[default]
    #[serde(rename = "account+region")]
    AccountAndRegion,
    /// An account, wherever it calls.
    #[serde(rename = "account")]
    Account,
}

/// A profile that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {member}{problem}", member = described(.member))]
pub struct BadProfile {
    /// The line that is wrong, counted from 1.
    pub line: usize,
    /// The member that is wrong, such as `bucket[0].rate`, by its place from 0; empty where the text is no TOML.
    pub member: String,
    /// What is wrong with it.
    pub problem: String,
}

fn described(member: &str) -> String {
    if member.is_empty() { String::new() } else { format!("{member}: ") }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    retry_after: bool,
    #[serde(default)]
    bucket: Vec<FileBucket>,
    #[serde(default)]
    unlimited: Vec<FileUnlimited>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileBucket {
    service: Spanned<String>,
    operations: Spanned<Vec<Spanned<String>>>,
    #[serde(default = "yes")]
    shared: bool,
    #[serde(default)]
    scope: Scope,
    rate: Spanned<f64>,
    burst: Spanned<NonZeroU32>,
    #[serde(default)]
    exception: Vec<FileException>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileException {
    regions: Spanned<Vec<Spanned<String>>>,
    rate: Spanned<f64>,
    burst: Spanned<NonZeroU32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileUnlimited {
    service: Spanned<String>,
    operations: Spanned<Vec<Spanned<String>>>,
}

const fn yes() -> bool {
    true
}

impl Profile {
    /// No quotas: every call passes.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// The published quotas of the services in `known`.
    ///
    /// # Panics
    ///
    /// When `known` has a service whose operations are not those that the quotas name: a table is wrong.
    #[must_use]
    pub fn cloud(known: &Operations<'_>) -> Self {
        let mut file = parse(CLOUD).expect("the embedded profile is well-formed");
        let built =
            |service: &Spanned<String>| known.iter().any(|(name, _)| name == service.get_ref());
        file.bucket.retain(|bucket| built(&bucket.service));
        file.unlimited.retain(|unlimited| built(&unlimited.service));
        Reader::new(CLOUD, known).profile(file).expect("the embedded profile fits the tables")
    }

    /// Reads a profile of the user's. Services and operations that are not in `known` are refused.
    ///
    /// # Errors
    ///
    /// [`BadProfile`] with the first line and member that is wrong: no TOML, an unknown or missing member, a wrong
    /// type, an unknown service or operation, one that stands in two buckets, a rate or burst out of range, a region
    /// that is none or has two exceptions.
    pub fn read(text: &str, known: &Operations<'_>) -> Result<Self, BadProfile> {
        Reader::new(text, known).profile(parse(text)?)
    }
}

fn parse(text: &str) -> Result<File, BadProfile> {
    let bad = |path: &str, error: &toml::de::Error| {
        // The wrapper that carries the place of a value is no member of the user's.
        let member = path.split('.').filter(|part| !part.starts_with('$') && *part != "?");
        BadProfile {
            line: line_at(text, error.span().map_or(0, |span| span.start)),
            member: member.collect::<Vec<_>>().join("."),
            problem: error.message().to_owned(),
        }
    };
    let toml = toml::Deserializer::parse(text).map_err(|error| bad("", &error))?;
    serde_path_to_error::deserialize(toml)
        .map_err(|error| bad(&error.path().to_string(), error.inner()))
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// What is known while a profile is checked.
struct Reader<'a> {
    text: &'a str,
    known: &'a Operations<'a>,
    /// Service and operation of what has been given a place.
    placed: BTreeSet<(String, String)>,
}

impl<'a> Reader<'a> {
    const fn new(text: &'a str, known: &'a Operations<'a>) -> Self {
        Self { text, known, placed: BTreeSet::new() }
    }

    fn profile(mut self, file: File) -> Result<Profile, BadProfile> {
        let unlimited = file.unlimited.iter().enumerate();
        for (index, FileUnlimited { service, operations }) in unlimited {
            self.place(&format!("unlimited[{index}]"), service, operations)?;
        }
        for (index, bucket) in file.bucket.iter().enumerate() {
            self.place(&format!("bucket[{index}]"), &bucket.service, &bucket.operations)?;
        }
        let mut profile = Profile { retry_after: file.retry_after, buckets: Vec::new() };
        let mut count = 0;
        for (index, bucket) in file.bucket.iter().enumerate() {
            let buckets = self.buckets(&format!("bucket[{index}]"), bucket)?;
            count += buckets.iter().map(|bucket| 1 + bucket.exceptions.len()).sum::<usize>();
            if count > BUCKETS_MAX {
                let problem = format!("more than {BUCKETS_MAX} buckets");
                return Err(self.bad(bucket.service.span(), format!("bucket[{index}]"), problem));
            }
            profile.buckets.extend(buckets);
        }
        Ok(profile)
    }

    /// Checks what a bucket names, and that nothing else names it too.
    fn place(
        &mut self,
        path: &str,
        service: &Spanned<String>,
        operations: &Spanned<Vec<Spanned<String>>>,
    ) -> Result<(), BadProfile> {
        let Some((_, known)) = self.known.iter().find(|(name, _)| name == service.get_ref()) else {
            let names: Vec<_> = self.known.iter().map(|(name, _)| *name).collect();
            let problem =
                format!("unknown service `{}`, expected {}", service.get_ref(), names.join(" or "));
            return Err(self.bad(service.span(), format!("{path}.service"), problem));
        };
        let list = operations.get_ref();
        if list.is_empty() {
            let problem =
                format!("no operation; [\"{OTHERS}\"] means all that no other bucket names");
            return Err(self.bad(operations.span(), format!("{path}.operations"), problem));
        }
        for (index, operation) in list.iter().enumerate() {
            let (name, member) = (operation.get_ref(), format!("{path}.operations[{index}]"));
            let problem = if name == OTHERS && list.len() > 1 {
                format!("\"{OTHERS}\" beside names: it stands alone")
            } else if name != OTHERS && !known.contains(&name.as_str()) {
                format!("unknown operation `{name}` of {}", service.get_ref())
            } else if !self.placed.insert((service.get_ref().clone(), name.clone())) {
                format!("the operation `{name}` of {} stands here twice", service.get_ref())
            } else {
                continue;
            };
            return Err(self.bad(operation.span(), member, problem));
        }
        Ok(())
    }

    /// The bucket, or one for each of its operations. All places have been given.
    fn buckets(&self, path: &str, file: &FileBucket) -> Result<Vec<Bucket>, BadProfile> {
        let service = file.service.get_ref();
        let quota = self.quota(path, &file.rate, &file.burst)?;
        let mut exceptions: Vec<(Vec<Region>, Quota)> = Vec::new();
        for (index, exception) in file.exception.iter().enumerate() {
            let path = format!("{path}.exception[{index}]");
            let regions = self.regions(&path, &exception.regions, &exceptions)?;
            let quota = self.quota(&path, &exception.rate, &exception.burst)?;
            exceptions.push((regions, quota));
        }
        let bucket = |operations| Bucket {
            service: service.clone(),
            operations,
            scope: file.scope,
            quota,
            exceptions: exceptions.clone(),
        };
        let operations = self.operations(service, file.operations.get_ref());
        Ok(if file.shared {
            vec![bucket(operations)]
        } else {
            operations.into_iter().map(|operation| bucket(vec![operation])).collect()
        })
    }

    fn operations(&self, service: &str, named: &[Spanned<String>]) -> Vec<String> {
        if named.iter().all(|operation| operation.get_ref() != OTHERS) {
            return named.iter().map(|operation| operation.get_ref().clone()).collect();
        }
        let of_service = self.known.iter().filter(|(name, _)| *name == service);
        of_service
            .flat_map(|(_, operations)| operations)
            .map(|operation| (*operation).to_owned())
            .filter(|operation| !self.placed.contains(&(service.to_owned(), operation.clone())))
            .collect()
    }

    fn regions(
        &self,
        path: &str,
        named: &Spanned<Vec<Spanned<String>>>,
        before: &[(Vec<Region>, Quota)],
    ) -> Result<Vec<Region>, BadProfile> {
        if named.get_ref().is_empty() {
            return Err(self.bad(named.span(), format!("{path}.regions"), "no region".to_owned()));
        }
        let mut regions = Vec::new();
        for (index, name) in named.get_ref().iter().enumerate() {
            let member = || format!("{path}.regions[{index}]");
            let region: Region = name
                .get_ref()
                .parse()
                .map_err(|bad| self.bad(name.span(), member(), format!("{bad}")))?;
            if regions.contains(&region) || before.iter().any(|(list, _)| list.contains(&region)) {
                let problem = format!("`{region}` stands in this bucket's exceptions twice");
                return Err(self.bad(name.span(), member(), problem));
            }
            regions.push(region);
        }
        Ok(regions)
    }

    fn quota(
        &self,
        path: &str,
        rate: &Spanned<f64>,
        burst: &Spanned<NonZeroU32>,
    ) -> Result<Quota, BadProfile> {
        let (per_s, size) = (*rate.get_ref(), *burst.get_ref());
        // Written so that what is no number fails too.
        if !(per_s > 0.0 && per_s <= RATE_MAX) {
            let problem =
                format!("{per_s} per second, expected more than 0 and at most {RATE_MAX}");
            return Err(self.bad(rate.span(), format!("{path}.rate"), problem));
        }
        let refill_s = f64::from(size.get()) / per_s;
        if refill_s > REFILL_S_MAX {
            let problem = format!("takes {refill_s:.0} s to fill at this rate, more than a year");
            return Err(self.bad(burst.span(), format!("{path}.burst"), problem));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1,000 and a year's nanoseconds; the part of a nanosecond is dropped so that a second brings all \
                      of a second's worth"
        )]
        let interval = Duration::from_nanos((1_000_000_000.0 / per_s) as u64);
        let quota = Quota::with_period(interval).expect("at least 1,000 ns");
        Ok(quota.allow_burst(size))
    }

    fn bad(&self, span: Range<usize>, member: String, problem: String) -> BadProfile {
        BadProfile { line: line_at(self.text, span.start), member, problem }
    }
}

#[cfg(test)]
mod tests;
