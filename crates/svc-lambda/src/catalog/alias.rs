//! Aliases and tags.

use super::{Catalog, CatalogError, Scope, same_revision};
use crate::function::{Alias, Function};
use durastack_names::{AliasName, FunctionRef, Qualifier, Version};
use durastack_store::{Batch, Expect};
use std::{collections::BTreeMap, sync::Arc};

/// What an alias is asked to be; absent members stay as they are.
#[derive(Debug, Clone, Default)]
pub struct AliasChange {
    /// Where it points.
    pub version: Option<Version>,
    /// Its description.
    pub description: Option<String>,
    /// The revision that the caller knows.
    pub revision_id: Option<String>,
}

impl Catalog {
    /// Makes an alias.
    ///
    /// # Errors
    ///
    /// As [`Catalog::get`], [`CatalogError::AliasExists`]; [`CatalogError::FunctionNotFound`] for the version.
    pub async fn create_alias(
        &self,
        scope: &Scope,
        reference: &FunctionRef,
        name: AliasName,
        version: Version,
        description: String,
    ) -> Result<Arc<Function>, CatalogError> {
        let _turn = self.changing.lock().await;
        let mut function = Function::clone(&*self.get(scope, reference)?);
        let arn = function.arn.qualified(Some(Qualifier::Alias(name.clone())));
        if function.aliases.contains_key(&name) {
            return Err(CatalogError::AliasExists(arn));
        }
        has_version(&function, version)?;
        let alias = Alias { version, description, revision_id: self.uuid() };
        function.aliases.insert(name, alias);
        self.write(function, Batch::default(), Expect::Anything).await
    }

    /// Changes an alias.
    ///
    /// # Errors
    ///
    /// As [`Catalog::create_alias`], [`CatalogError::AliasNotFound`], [`CatalogError::OtherRevision`].
    pub async fn update_alias(
        &self,
        scope: &Scope,
        reference: &FunctionRef,
        name: &AliasName,
        change: AliasChange,
    ) -> Result<Arc<Function>, CatalogError> {
        let _turn = self.changing.lock().await;
        let mut function = Function::clone(&*self.get(scope, reference)?);
        if let Some(version) = change.version {
            has_version(&function, version)?;
        }
        let arn = function.arn.qualified(Some(Qualifier::Alias(name.clone())));
        let alias = function.aliases.get_mut(name).ok_or(CatalogError::AliasNotFound(arn))?;
        same_revision(change.revision_id.as_deref(), &alias.revision_id)?;
        alias.version = change.version.unwrap_or(alias.version);
        if let Some(description) = change.description {
            alias.description = description;
        }
        alias.revision_id = self.uuid();
        self.write(function, Batch::default(), Expect::Anything).await
    }

    /// Deletes an alias; there need be none.
    ///
    /// # Errors
    ///
    /// As [`Catalog::get`].
    pub async fn delete_alias(
        &self,
        scope: &Scope,
        reference: &FunctionRef,
        name: &AliasName,
    ) -> Result<(), CatalogError> {
        let _turn = self.changing.lock().await;
        let mut function = Function::clone(&*self.get(scope, reference)?);
        if function.aliases.remove(name).is_some() {
            self.write(function, Batch::default(), Expect::Anything).await?;
        }
        Ok(())
    }

    /// Changes a function's tags; `change` may refuse.
    ///
    /// # Errors
    ///
    /// As [`Catalog::get`], and what `change` refuses with.
    pub async fn change_tags<E: From<CatalogError>>(
        &self,
        scope: &Scope,
        reference: &FunctionRef,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), E> + Send,
    ) -> Result<(), E> {
        let _turn = self.changing.lock().await;
        let mut function = Function::clone(&*self.get(scope, reference)?);
        change(&mut function.tags)?;
        self.write(function, Batch::default(), Expect::Anything).await?;
        Ok(())
    }
}

fn has_version(function: &Function, version: Version) -> Result<(), CatalogError> {
    match function.version(version) {
        Some(_) => Ok(()),
        None => {
            let arn = function.arn.qualified(Some(Qualifier::Version(version)));
            Err(CatalogError::FunctionNotFound(arn))
        }
    }
}
