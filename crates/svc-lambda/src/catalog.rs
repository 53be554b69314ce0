//! Which functions there are. Knows no HTTP: invokes, chained invokes and other services ask here too.
//!
//! All functions are in memory, as they are in the store; a change is durable before it is seen. Changes take turns.

mod alias;
mod change;
mod error;

pub use alias::AliasChange;
pub use change::{NewCode, NewFunction, Publication};
pub use error::CatalogError;

use crate::{
    function::{Code, Configuration, Function, State},
    packages::{PackageError, Packages},
    records,
};
use bytes::Bytes;
use durastack_clock::{Clock, Entropy, Timestamp};
use durastack_names::{
    AccountId, FunctionArn, FunctionName, FunctionRef, Qualifier, Region, Version,
};
use durastack_store::{Batch, Change as Write, Expect, RecordsQuery, Store, StoreError};
use std::{
    collections::BTreeMap,
    ops::Bound,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

/// How many records are read at once when the catalog opens.
const LOAD_PAGE: usize = 1000;

/// The functions of all accounts and regions.
pub struct Catalog {
    store: Arc<dyn Store>,
    packages: Packages,
    clock: Clock,
    entropy: Mutex<Entropy>,
    change_window: Duration,
    functions: RwLock<BTreeMap<Key, Arc<Function>>>,
    /// Held from the look at a function to the end of its change.
    changing: tokio::sync::Mutex<()>,
}

/// Ordered as functions are listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    account: AccountId,
    region: Region,
    name: FunctionName,
}

impl Key {
    fn of(arn: &FunctionArn) -> Self {
        Self { account: arn.account.clone(), region: arn.region.clone(), name: arn.name.clone() }
    }
}

/// Whose functions are meant: names and partial ARNs leave that open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The caller's account.
    pub account: AccountId,
    /// The region that the caller asks.
    pub region: Region,
}

/// What a reference to a function leads to.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The function.
    pub function: Arc<Function>,
    /// The version that runs.
    pub configuration: Arc<Configuration>,
    /// The function's ARN with the qualifier that was asked for; without one if there was none.
    pub arn: FunctionArn,
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog").field("packages", &self.packages).finish_non_exhaustive()
    }
}

impl Catalog {
    /// Reads all functions. `code` is the folder of their packages; `change_window` is how long a change is said to
    /// be under way (nothing: it is done at once). Revision ids come from `entropy`.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Store`], [`CatalogError::BadRecord`] or [`CatalogError::Package`].
    pub async fn open(
        store: Arc<dyn Store>,
        code: PathBuf,
        clock: Clock,
        entropy: Entropy,
        change_window: Duration,
    ) -> Result<Self, CatalogError> {
        let packages = Packages::open(code)?;
        let mut functions = BTreeMap::new();
        for (key, value) in read_all(&*store, records::FUNCTIONS).await? {
            functions.insert(key.clone(), records::read_function(&key, &value)?);
        }
        for (key, value) in read_all(&*store, records::VERSIONS).await? {
            let version = records::read_version(&key, &value)?;
            let owner = key.rsplitn(3, '/').nth(2).and_then(|owner| functions.get_mut(owner));
            // A version goes in the same batch as its function, so there is always one.
            if let (Some(function), Version::Number(number)) = (owner, version.version) {
                function.versions.insert(number, Arc::new(version));
            }
        }
        let functions: BTreeMap<_, _> =
            functions.into_values().map(|f| (Key::of(&f.arn), Arc::new(f))).collect();
        let configurations =
            functions.values().flat_map(|f| f.versions.values().chain(std::iter::once(&f.latest)));
        packages.sweep(configurations.map(|c| c.code.sha256).collect()).await?;
        Ok(Self {
            store,
            packages,
            clock,
            entropy: Mutex::new(entropy),
            change_window,
            functions: RwLock::new(functions),
            changing: tokio::sync::Mutex::new(()),
        })
    }

    /// Wall time: what [`Configuration::state`] is asked with.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        self.clock.wall()
    }

    /// The function of this name.
    ///
    /// # Errors
    ///
    /// [`CatalogError::FunctionNotFound`], [`CatalogError::OtherRegion`], [`CatalogError::OtherAccount`].
    pub fn get(
        &self,
        scope: &Scope,
        reference: &FunctionRef,
    ) -> Result<Arc<Function>, CatalogError> {
        let arn = locate(scope, reference)?;
        self.lookup(&Key::of(&arn)).ok_or(CatalogError::FunctionNotFound(arn))
    }

    /// The version that a reference means, by the qualifier in the name or the one beside it.
    ///
    /// # Errors
    ///
    /// As [`Catalog::get`], [`CatalogError::TwoQualifiers`], [`CatalogError::AliasNotFound`].
    pub fn resolve(
        &self,
        scope: &Scope,
        reference: &FunctionRef,
        qualifier: Option<&Qualifier>,
    ) -> Result<Resolved, CatalogError> {
        let qualifier = one_qualifier(reference, qualifier)?;
        let arn = locate(scope, reference)?.qualified(qualifier.cloned());
        let missing = || match &arn.qualifier {
            Some(Qualifier::Alias(_)) => CatalogError::AliasNotFound(arn.clone()),
            _ => CatalogError::FunctionNotFound(arn.clone()),
        };
        let function = self
            .lookup(&Key::of(&arn))
            .ok_or_else(|| CatalogError::FunctionNotFound(arn.clone()))?;
        let configuration = Arc::clone(function.qualified(qualifier).ok_or_else(missing)?);
        Ok(Resolved { function, configuration, arn })
    }

    /// Whether a version can be invoked now.
    ///
    /// # Errors
    ///
    /// [`CatalogError::NotReady`] while its function is being created.
    pub fn invocable(&self, configuration: &Configuration) -> Result<(), CatalogError> {
        match configuration.state(self.wall()) {
            State::Active => Ok(()),
            state @ State::Pending => Err(CatalogError::NotReady(state)),
        }
    }

    /// The function that an ARN from our own records names, as long as it is the same incarnation.
    #[must_use]
    pub fn incarnated(&self, arn: &FunctionArn, incarnation: &str) -> Option<Arc<Function>> {
        self.lookup(&Key::of(arn)).filter(|function| function.incarnation == incarnation)
    }

    /// The folder that a version's code is unpacked in.
    ///
    /// # Errors
    ///
    /// [`PackageError`].
    pub async fn unpacked(&self, code: Code) -> Result<PathBuf, PackageError> {
        self.packages.unpacked(code).await
    }

    /// The package of this hash, as it was uploaded.
    pub async fn package(&self, sha256: [u8; 32]) -> Option<Bytes> {
        self.packages.read(sha256).await
    }

    /// The functions of a scope by name, from the given one on (or behind it), at most `limit`.
    #[must_use]
    pub fn list(
        &self,
        scope: &Scope,
        from: Bound<FunctionName>,
        limit: usize,
    ) -> Vec<Arc<Function>> {
        let key = |name| Key { account: scope.account.clone(), region: scope.region.clone(), name };
        let from = match from {
            // No name comes before this one.
            Bound::Unbounded => "-".parse().map_or(Bound::Unbounded, Bound::Included),
            bounded => bounded,
        };
        let functions = self.functions.read().unwrap_or_else(PoisonError::into_inner);
        functions
            .range((from.map(key), Bound::Unbounded))
            .take_while(|(k, _)| k.account == scope.account && k.region == scope.region)
            .take(limit)
            .map(|(_, function)| Arc::clone(function))
            .collect()
    }

    fn lookup(&self, key: &Key) -> Option<Arc<Function>> {
        self.functions.read().unwrap_or_else(PoisonError::into_inner).get(key).map(Arc::clone)
    }

    fn uuid(&self) -> String {
        self.entropy.lock().unwrap_or_else(PoisonError::into_inner).uuid()
    }

    /// Makes the function as it is now durable, together with what is in the batch, and then visible.
    async fn write(
        &self,
        function: Function,
        mut batch: Batch,
        expect: Expect,
    ) -> Result<Arc<Function>, CatalogError> {
        batch.records.push(Write {
            namespace: records::FUNCTIONS,
            key: records::function_key(&function.arn),
            value: Some(records::write_function(&function).into()),
            expect,
        });
        self.store.commit(batch).await?;
        let function = Arc::new(function);
        let mut functions = self.functions.write().unwrap_or_else(PoisonError::into_inner);
        functions.insert(Key::of(&function.arn), Arc::clone(&function));
        Ok(function)
    }
}

/// The unqualified ARN that a reference means to a caller.
fn locate(scope: &Scope, reference: &FunctionRef) -> Result<FunctionArn, CatalogError> {
    let arn = FunctionArn {
        region: reference.region.clone().unwrap_or_else(|| scope.region.clone()),
        account: reference.account.clone().unwrap_or_else(|| scope.account.clone()),
        name: reference.name.clone(),
        qualifier: None,
    };
    if arn.region != scope.region {
        return Err(CatalogError::OtherRegion { there: arn.region, here: scope.region.clone() });
    }
    if arn.account != scope.account {
        return Err(CatalogError::OtherAccount { caller: scope.account.clone(), arn });
    }
    Ok(arn)
}

fn one_qualifier<'a>(
    reference: &'a FunctionRef,
    beside: Option<&'a Qualifier>,
) -> Result<Option<&'a Qualifier>, CatalogError> {
    match (reference.qualifier.as_ref(), beside) {
        (Some(within), Some(beside)) if within != beside => Err(CatalogError::TwoQualifiers),
        (within, beside) => Ok(within.or(beside)),
    }
}

async fn read_all(
    store: &dyn Store,
    namespace: &'static str,
) -> Result<Vec<(String, Bytes)>, StoreError> {
    let mut all: Vec<(String, Bytes)> = Vec::new();
    loop {
        let after = all.last().map(|(key, _)| key.clone());
        let prefix = String::new();
        let page =
            store.records(RecordsQuery { namespace, prefix, after, limit: LOAD_PAGE }).await?;
        let is_last = page.len() < LOAD_PAGE;
        all.extend(page.into_iter().map(|(key, value)| (key, value.value)));
        if is_last {
            return Ok(all);
        }
    }
}

fn same_revision(known: Option<&str>, current: &str) -> Result<(), CatalogError> {
    match known {
        Some(known) if known != current => Err(CatalogError::OtherRevision),
        _ => Ok(()),
    }
}
