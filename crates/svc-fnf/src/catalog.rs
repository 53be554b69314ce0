//! Which flows there are. Knows no HTTP: starts of sub-flows ask here too.
//!
//! All flows are in memory, as they are in the store; a change is durable before it is seen. Changes take turns.

use crate::{
    flow::Flow,
    records::{self, BadRecord},
};
use bytes::Bytes;
use durastack_names::{AccountId, Region};
use durastack_store::{Batch, Change, Conflict, Expect, RecordsQuery, Store, StoreError};
use durastack_wire::Caller;
use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Arc, PoisonError, RwLock},
};

/// How many records are read at once when the catalog opens.
const LOAD_PAGE: usize = 1000;

/// The flows of all accounts and regions.
pub(crate) struct Catalog {
    store: Arc<dyn Store>,
    flows: RwLock<Flows>,
    /// Held from the look at a flow to the end of its change.
    changing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Flows {
    by_name: BTreeMap<Key, Arc<Flow>>,
    by_id: HashMap<String, Key>,
}

/// Ordered as flows are listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    account: AccountId,
    region: Region,
    name: String,
}

/// Why the catalog refuses or fails.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No flow of this name.
    #[error("Flow '{0}' does not exist.")]
    FlowNotExists(String),
    /// The name is taken.
    #[error("Flow '{0}' already exists.")]
    FlowAlreadyExists(String),
    /// Somebody else changed the record at the same time.
    #[error("Update conflict, please retry.")]
    ConcurrentUpdate,
    /// The store failed.
    #[error("the store failed")]
    Store(StoreError),
    /// A record cannot be read.
    #[error(transparent)]
    BadRecord(#[from] BadRecord),
}

impl From<StoreError> for CatalogError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(Conflict::Record { .. }) => Self::ConcurrentUpdate,
            error => Self::Store(error),
        }
    }
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog").finish_non_exhaustive()
    }
}

impl Catalog {
    /// Reads all flows.
    pub(crate) async fn open(store: Arc<dyn Store>) -> Result<Self, CatalogError> {
        let mut flows = Flows::default();
        let mut after = None;
        loop {
            let query = RecordsQuery {
                namespace: records::FLOWS,
                prefix: String::new(),
                after,
                limit: LOAD_PAGE,
            };
            let page = store.records(query).await?;
            for (key, value) in &page {
                flows.put(records::read(key, &value.value)?);
            }
            after = page.last().map(|(key, _)| key.clone());
            if page.len() < LOAD_PAGE {
                break;
            }
        }
        Ok(Self { store, flows: RwLock::new(flows), changing: tokio::sync::Mutex::new(()) })
    }

    /// The caller's flow of this name.
    pub(crate) fn get(&self, caller: &Caller, name: &str) -> Result<Arc<Flow>, CatalogError> {
        self.find(&caller.account, &caller.region, name)
            .ok_or_else(|| CatalogError::FlowNotExists(name.to_owned()))
    }

    pub(crate) fn find(
        &self,
        account: &AccountId,
        region: &Region,
        name: &str,
    ) -> Option<Arc<Flow>> {
        let key = Key { account: account.clone(), region: region.clone(), name: name.to_owned() };
        self.read(|flows| flows.by_name.get(&key).cloned())
    }

    /// The flow of this id, if it is not deleted.
    pub(crate) fn by_id(&self, id: &str) -> Option<Arc<Flow>> {
        self.read(|flows| flows.by_name.get(flows.by_id.get(id)?).cloned())
    }

    /// The caller's flows by name, from the given one on, at most `limit`.
    pub(crate) fn list(
        &self,
        caller: &Caller,
        from: &str,
        resource_group_id: Option<&str>,
        limit: usize,
    ) -> Vec<Arc<Flow>> {
        let (account, region) = (caller.account.clone(), caller.region.clone());
        let from = Key { account, region, name: from.to_owned() };
        self.read(|flows| {
            let rest = flows.by_name.range::<Key, _>((Bound::Included(&from), Bound::Unbounded));
            rest.take_while(|(key, _)| key.account == from.account && key.region == from.region)
                .map(|(_, flow)| flow)
                .filter(|flow| {
                    resource_group_id.is_none_or(|id| flow.resource_group_id.as_deref() == Some(id))
                })
                .take(limit)
                .cloned()
                .collect()
        })
    }

    pub(crate) async fn create(&self, flow: Flow) -> Result<Arc<Flow>, CatalogError> {
        let _turn = self.changing.lock().await;
        if self.find(&flow.account, &flow.region, flow.name()).is_some() {
            return Err(CatalogError::FlowAlreadyExists(flow.name().to_owned()));
        }
        self.write(flow, Expect::Absent).await
    }

    /// Changes a flow; `change` is given it as it is now.
    pub(crate) async fn update<E: From<CatalogError>>(
        &self,
        caller: &Caller,
        name: &str,
        change: impl FnOnce(&mut Flow) -> Result<(), E> + Send,
    ) -> Result<Arc<Flow>, E> {
        let _turn = self.changing.lock().await;
        let mut flow = Flow::clone(&*self.get(caller, name)?);
        let expect = self.expect(&flow).await?;
        change(&mut flow)?;
        Ok(self.write(flow, expect).await?)
    }

    /// Deletes a flow, and notes that its executions have to go.
    pub(crate) async fn delete(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Arc<Flow>, CatalogError> {
        let _turn = self.changing.lock().await;
        let flow = self.get(caller, name)?;
        let gone = Change {
            namespace: records::FLOWS,
            key: records::key(&flow.account, &flow.region, flow.name()),
            value: None,
            expect: self.expect(&flow).await?,
        };
        let noted = Change {
            namespace: records::DELETED,
            key: flow.id.clone(),
            value: Some(Bytes::new()),
            expect: Expect::Anything,
        };
        self.store.commit(Batch { records: vec![gone, noted], ..Batch::default() }).await?;
        let mut flows = self.flows.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = flows.by_id.remove(&flow.id) {
            flows.by_name.remove(&key);
        }
        Ok(flow)
    }

    /// That the record is still the one that is in memory.
    async fn expect(&self, flow: &Flow) -> Result<Expect, CatalogError> {
        let key = records::key(&flow.account, &flow.region, flow.name());
        let record = self.store.record(records::FLOWS, &key).await?;
        record.map(|record| Expect::Version(record.version)).ok_or(CatalogError::ConcurrentUpdate)
    }

    async fn write(&self, flow: Flow, expect: Expect) -> Result<Arc<Flow>, CatalogError> {
        let change = Change {
            namespace: records::FLOWS,
            key: records::key(&flow.account, &flow.region, flow.name()),
            value: Some(records::write(&flow).into()),
            expect,
        };
        self.store.commit(Batch { records: vec![change], ..Batch::default() }).await?;
        let mut flows = self.flows.write().unwrap_or_else(PoisonError::into_inner);
        Ok(flows.put(flow))
    }

    fn read<T>(&self, look: impl FnOnce(&Flows) -> T) -> T {
        look(&self.flows.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Flows {
    fn put(&mut self, flow: Flow) -> Arc<Flow> {
        let flow = Arc::new(flow);
        let key = Key {
            account: flow.account.clone(),
            region: flow.region.clone(),
            name: flow.name().to_owned(),
        };
        self.by_id.insert(flow.id.clone(), key.clone());
        self.by_name.insert(key, Arc::clone(&flow));
        flow
    }
}
