//! Data folders with many stored executions, made without running any of them.

use anyhow::{Context, Result};
use bytes::Bytes;
use durastack_clock::{Clock, Entropy, Moment, Stopwatch, Timestamp};
use durastack_driver::status_number;
use durastack_durable::{Definition, Durable, RetryPolicy};
use durastack_engine::{Command, Execution, Payload, Record, Start, Status};
use durastack_names::{ExecutionId, FunctionArn, Version};
use durastack_store::{Append, Batch, Claim, Record as Stored, RecordsQuery, Row, Sqlite, Store};
use std::{path::Path, time::Duration};

/// How many executions one commit stores.
const BATCH: u64 = 500;
/// The executions have started one after the other, this far apart, the last one a minute ago.
const APART: Duration = Duration::from_millis(20);
const RETENTION: Duration = Duration::from_secs(7 * 86_400);

/// How far a folder is to be filled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filling {
    /// Executions with everything that they have: journal, claim, row.
    pub(crate) whole: u64,
    /// Further rows of the list index.
    pub(crate) rows: u64,
    /// Further rows stop here.
    pub(crate) within: Duration,
}

/// Where the function's executions belong in the store.
struct Place {
    function: FunctionArn,
    scope: String,
}

/// Fills a data folder that nobody has open with ended executions of `function`. Returns how many there are.
pub(crate) async fn fill(data: &Path, function: &str, filling: Filling) -> Result<u64> {
    let watch = Stopwatch::start();
    let store = Sqlite::open(data, Entropy::secret())?;
    let place = find(&store, function).await?;
    let total = filling.whole + filling.rows;
    let now = Clock::system(Duration::ZERO).wall();
    let apart_ms = i64::try_from(APART.as_millis())?;
    let first = now.millis() - 60_000 - i64::try_from(total)? * apart_ms;
    let mut entropy = Entropy::seeded(1);
    let mut done = 0;
    while done < total && (done < filling.whole || watch.elapsed() < filling.within) {
        let mut batch = Batch::default();
        for number in done..(done + BATCH).min(total) {
            let at = Timestamp::from_millis(first + i64::try_from(number)? * apart_ms);
            add(&mut batch, &place, at, &mut entropy, number < filling.whole)?;
        }
        done += u64::try_from(batch.rows.len())?;
        store.commit(batch).await?;
    }
    store.close().await;
    Ok(done)
}

async fn find(store: &Sqlite, function: &str) -> Result<Place> {
    let prefix = format!("000000000000/us-east-1/{function}");
    let query = RecordsQuery { namespace: "lambda-function", prefix, after: None, limit: 1 };
    let (_, record) =
        store.records(query).await?.into_iter().next().context("the function is not stored")?;
    let record: serde_json::Value = serde_json::from_slice(&record.value)?;
    Ok(Place {
        function: serde_json::from_value(record["arn"].clone())?,
        scope: record["incarnation"].as_str().context("no incarnation")?.to_owned(),
    })
}

fn add(
    batch: &mut Batch,
    place: &Place,
    at: Timestamp,
    entropy: &mut Entropy,
    whole: bool,
) -> Result<()> {
    let id: ExecutionId = entropy.uuid_at(at).parse().context("a UUID is an execution id")?;
    let name = entropy.uuid();
    let mut row = Row {
        execution: id.bytes(),
        dialect: "durable".to_owned(),
        scope: place.scope.clone(),
        version: "$LATEST".to_owned(),
        name: name.clone(),
        status: status_number(Status::Succeeded),
        started: at.millis(),
        ended: Some(at.millis() + 10),
        expires: Some(at.plus(RETENTION).millis() + 10),
    };
    if entropy.next_u64().is_multiple_of(4) {
        row.status = status_number(Status::Stopped);
    }
    if whole {
        row.status = status_number(Status::Stopped);
        let mut moment = || Moment { now: at, entropy: Entropy::seeded(entropy.next_u64().into()) };
        let start = start(place, id, name.clone());
        let (mut execution, mut records) = Execution::<Durable>::start(moment(), start);
        let stop = Moment { now: at.plus(Duration::from_millis(10)), ..moment() };
        let stopped = execution.decide(stop, Command::Stop(None))?;
        stopped.iter().for_each(|record| execution.apply(record));
        records.extend(stopped);
        let stored = |record: &Record<Durable>| Stored {
            event_id: record.event_id,
            data: Bytes::from(record.encode()),
        };
        batch.appends.push(Append {
            execution: id.bytes(),
            expected: 0,
            records: records.iter().map(stored).collect(),
        });
        batch.claims.push(Claim {
            scope: place.scope.clone(),
            name,
            execution: id.bytes(),
            input_hash: [7; 32],
        });
    }
    batch.rows.push(row);
    Ok(())
}

fn start(place: &Place, id: ExecutionId, name: String) -> Start<Durable> {
    Start {
        id,
        name,
        scope: place.scope.clone(),
        version: "$LATEST".to_owned(),
        timeout: Some(Duration::from_secs(3600)),
        retention: Some(RETENTION),
        parent: None,
        input: Payload::Inline("{\"orderId\":\"A-1001\"}".to_owned()),
        definition: Definition {
            function: place.function.clone(),
            version: Version::Latest,
            execution_timeout_s: 3600,
            retention_days: 7,
            kms_key_arn: None,
            asynchronous: true,
            tenant_id: None,
            trace_header: None,
            retries: RetryPolicy::default(),
        },
    }
}
