//! Functions made, changed, published and deleted.

use super::{Catalog, CatalogError, Key, Resolved, Scope, locate, one_qualifier, same_revision};
use crate::{
    function::{Change, Code, Configuration, Function, Readiness, Settings},
    records,
};
use bytes::Bytes;
use durastack_names::{FunctionRef, Qualifier, Version};
use durastack_store::{Batch, Change as Write, Expect};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

/// What a new function is made of.
#[derive(Debug, Clone)]
pub struct NewFunction {
    /// How it is set.
    pub settings: Settings,
    /// Its code, a zip file.
    pub zip: Bytes,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Whether version 1 is published at once.
    pub publish: bool,
}

/// A change of a function's code.
#[derive(Debug, Clone)]
pub struct NewCode {
    /// The code, a zip file.
    pub zip: Bytes,
    /// Another architecture.
    pub architecture: Option<String>,
    /// Whether a version is published at once.
    pub publish: bool,
    /// Whether everything is only checked.
    pub dry_run: bool,
    /// The revision that the caller knows.
    pub revision_id: Option<String>,
}

/// What a published version is asked to be.
#[derive(Debug, Clone, Default)]
pub struct Publication {
    /// The hash that the caller believes the code has, in base64.
    pub code_sha256: Option<String>,
    /// The version's own description.
    pub description: Option<String>,
    /// The revision that the caller knows.
    pub revision_id: Option<String>,
}

impl Catalog {
    /// Makes a function. Returns `$LATEST`, or version 1 if it was to be published.
    ///
    /// # Errors
    ///
    /// [`CatalogError::FunctionExists`], [`CatalogError::Package`], and as [`Catalog::update_code`] for the name.
    pub async fn create(
        &self,
        scope: &Scope,
        reference: &FunctionRef,
        new: NewFunction,
    ) -> Result<Resolved, CatalogError> {
        only_latest(reference)?;
        let arn = locate(scope, reference)?;
        let taken = || CatalogError::FunctionExists(arn.name.clone());
        if self.lookup(&Key::of(&arn)).is_some() {
            return Err(taken());
        }
        let code = self.packages.keep(new.zip).await?;
        let _turn = self.changing.lock().await;
        if self.lookup(&Key::of(&arn)).is_some() {
            return Err(taken());
        }
        let mut function = Function {
            incarnation: self.uuid().replace('-', ""),
            arn: arn.clone(),
            latest: Arc::new(Configuration {
                version: Version::Latest,
                revision_id: self.uuid(),
                last_modified: self.clock.now(),
                settings: new.settings,
                published_as: None,
                code,
                readiness: self.readiness(Change::Creation),
            }),
            versions: BTreeMap::new(),
            aliases: BTreeMap::new(),
            next_version: 1,
            tags: new.tags,
        };
        let mut batch = Batch::default();
        if new.publish {
            publish(&mut function, self.uuid(), None, &mut batch);
        }
        let published = function.latest_published().cloned();
        let function = self.write(function, batch, Expect::Absent).await?;
        Ok(match published {
            Some(version) => of_version(function, version),
            None => of_latest(function),
        })
    }

    /// Gives `$LATEST` other code. Returns it, or the version that was published.
    ///
    /// # Errors
    ///
    /// As [`Catalog::get`], [`CatalogError::OnlyLatest`], [`CatalogError::NotReady`], [`CatalogError::Updating`],
    /// [`CatalogError::OtherRevision`], [`CatalogError::Package`].
    pub async fn update_code(
        &self,
        scope: &Scope,
        reference: &FunctionRef,
        new: NewCode,
    ) -> Result<Resolved, CatalogError> {
        only_latest(reference)?;
        // Refused before the package is written, and again when it is this change's turn.
        self.changeable(&*self.get(scope, reference)?, new.revision_id.as_deref())?;
        let code = match new.dry_run {
            true => self.packages.check(new.zip).await?,
            false => self.packages.keep(new.zip).await?,
        };
        let _turn = self.changing.lock().await;
        let mut function = Function::clone(&*self.get(scope, reference)?);
        self.changeable(&function, new.revision_id.as_deref())?;
        let mut settings = function.latest.settings.clone();
        settings.architecture = new.architecture.unwrap_or(settings.architecture);
        self.renew_latest(&mut function, settings, code);
        let mut batch = Batch::default();
        if new.publish {
            publish(&mut function, self.uuid(), None, &mut batch);
        }
        let published = function.latest_published().cloned();
        let function = match new.dry_run {
            true => Arc::new(function),
            false => self.write(function, batch, Expect::Anything).await?,
        };
        Ok(match published.filter(|_| new.publish) {
            Some(version) => of_version(function, version),
            None => of_latest(function),
        })
    }

    /// Changes the settings of `$LATEST`; `change` is given those of now, and may refuse.
    ///
    /// # Errors
    ///
    /// As [`Catalog::update_code`], [`CatalogError::NotDurable`], and what `change` refuses with.
    pub async fn update_settings<E: From<CatalogError>>(
        &self,
        scope: &Scope,
        reference: &FunctionRef,
        revision_id: Option<&str>,
        change: impl FnOnce(&mut Settings) -> Result<(), E> + Send,
    ) -> Result<Resolved, E> {
        only_latest(reference)?;
        let _turn = self.changing.lock().await;
        let mut function = Function::clone(&*self.get(scope, reference)?);
        self.changeable(&function, revision_id)?;
        let mut settings = function.latest.settings.clone();
        change(&mut settings)?;
        if settings.durable.is_some() && function.latest.settings.durable.is_none() {
            return Err(CatalogError::NotDurable.into());
        }
        let code = function.latest.code;
        self.renew_latest(&mut function, settings, code);
        let function = self.write(function, Batch::default(), Expect::Anything).await?;
        Ok(of_latest(function))
    }

    /// Publishes `$LATEST`. Returns the version before, if nothing has changed since.
    ///
    /// # Errors
    ///
    /// As [`Catalog::update_code`], [`CatalogError::OtherCode`].
    pub async fn publish(
        &self,
        scope: &Scope,
        reference: &FunctionRef,
        publication: Publication,
    ) -> Result<Resolved, CatalogError> {
        only_latest(reference)?;
        let _turn = self.changing.lock().await;
        let mut function = Function::clone(&*self.get(scope, reference)?);
        self.changeable(&function, publication.revision_id.as_deref())?;
        let current = crate::describe::base64(&function.latest.code.sha256);
        if let Some(given) = publication.code_sha256.filter(|given| *given != current) {
            return Err(CatalogError::OtherCode { given, current });
        }
        let mut batch = Batch::default();
        let version = publish(&mut function, self.uuid(), publication.description, &mut batch);
        let function = match batch.records.is_empty() {
            true => Arc::new(function),
            false => self.write(function, batch, Expect::Anything).await?,
        };
        Ok(of_version(function, version))
    }

    /// Deletes a function with all its versions and aliases, or one version.
    ///
    /// # Errors
    ///
    /// As [`Catalog::resolve`], [`CatalogError::LatestStays`], [`CatalogError::AliasByDeleteFunction`],
    /// [`CatalogError::VersionInUse`].
    pub async fn delete(
        &self,
        scope: &Scope,
        reference: &FunctionRef,
        qualifier: Option<&Qualifier>,
    ) -> Result<(), CatalogError> {
        let number = match one_qualifier(reference, qualifier)? {
            None => None,
            Some(Qualifier::Version(Version::Latest)) => return Err(CatalogError::LatestStays),
            Some(Qualifier::Version(Version::Number(number))) => Some(*number),
            Some(Qualifier::Alias(_)) => return Err(CatalogError::AliasByDeleteFunction),
        };
        let _turn = self.changing.lock().await;
        let found = self.get(scope, reference)?;
        let mut batch = Batch::default();
        let Some(number) = number else {
            let versions = found.versions.keys().map(|n| records::version_key(&found, *n));
            batch.records.extend(versions.map(|key| erase(records::VERSIONS, key)));
            let key = records::function_key(&found.arn);
            batch.records.push(erase(records::FUNCTIONS, key));
            self.store.commit(batch).await?;
            let mut functions = self.functions.write().unwrap_or_else(PoisonError::into_inner);
            functions.remove(&Key::of(&found.arn));
            return Ok(());
        };
        let version = Version::Number(number);
        let users: Vec<_> = found.aliases.iter().filter(|(_, a)| a.version == version).collect();
        if !users.is_empty() {
            let names = users.into_iter().map(|(name, _)| name.to_string()).collect();
            return Err(CatalogError::VersionInUse(names));
        }
        let mut function = Function::clone(&found);
        if function.versions.remove(&number).is_none() {
            let arn = found.arn.qualified(Some(Qualifier::Version(version)));
            return Err(CatalogError::FunctionNotFound(arn));
        }
        batch.records.push(erase(records::VERSIONS, records::version_key(&function, number)));
        self.write(function, batch, Expect::Anything).await.map(drop)
    }

    fn readiness(&self, kind: Change) -> Readiness {
        Readiness { kind, ready_at: self.clock.wall().plus(self.change_window) }
    }

    /// Whether `$LATEST` may be changed or published now.
    fn changeable(
        &self,
        function: &Function,
        revision_id: Option<&str>,
    ) -> Result<(), CatalogError> {
        self.invocable(&function.latest)?;
        if function.latest.is_updating(self.wall()) {
            return Err(CatalogError::Updating(function.arn.clone()));
        }
        same_revision(revision_id, &function.latest.revision_id)
    }

    fn renew_latest(&self, function: &mut Function, settings: Settings, code: Code) {
        function.latest = Arc::new(Configuration {
            version: Version::Latest,
            revision_id: self.uuid(),
            last_modified: self.clock.now(),
            settings,
            published_as: None,
            code,
            readiness: self.readiness(Change::Update),
        });
    }
}

impl Function {
    /// The version published last, unless it was deleted.
    fn latest_published(&self) -> Option<&Arc<Configuration>> {
        self.versions.get(&self.next_version.checked_sub(1)?)
    }
}

/// Adds a version like `$LATEST` to the function and to the batch, unless the last one is still like it.
fn publish(
    function: &mut Function,
    revision_id: String,
    description: Option<String>,
    batch: &mut Batch,
) -> Arc<Configuration> {
    let latest = &function.latest;
    if let Some(last) = function.latest_published()
        && last.code == latest.code
        && last.settings == latest.settings
    {
        return Arc::clone(last);
    }
    let number = function.next_version;
    let version = Arc::new(Configuration {
        version: Version::Number(number),
        revision_id,
        published_as: description,
        ..Configuration::clone(latest)
    });
    function.next_version += 1;
    function.versions.insert(number, Arc::clone(&version));
    batch.records.push(Write {
        namespace: records::VERSIONS,
        key: records::version_key(function, number),
        value: Some(records::write_version(&version).into()),
        expect: Expect::Absent,
    });
    version
}

fn of_latest(function: Arc<Function>) -> Resolved {
    let (configuration, arn) = (Arc::clone(&function.latest), function.arn.clone());
    Resolved { function, configuration, arn }
}

fn of_version(function: Arc<Function>, configuration: Arc<Configuration>) -> Resolved {
    let arn = function.arn.qualified(Some(Qualifier::Version(configuration.version)));
    Resolved { function, configuration, arn }
}

fn erase(namespace: &'static str, key: String) -> Write {
    Write { namespace, key, value: None, expect: Expect::Anything }
}

fn only_latest(reference: &FunctionRef) -> Result<(), CatalogError> {
    match &reference.qualifier {
        None | Some(Qualifier::Version(Version::Latest)) => Ok(()),
        Some(Qualifier::Version(Version::Number(_)) | Qualifier::Alias(_)) => {
            Err(CatalogError::OnlyLatest)
        }
    }
}
