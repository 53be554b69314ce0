//! Latencies and rates, and the table they end up in.

use durastack_clock::Stopwatch;
use std::fmt::Write;

/// Latencies in milliseconds.
#[derive(Debug, Default, Clone)]
pub(crate) struct Latencies(Vec<f64>);

impl Latencies {
    pub(crate) fn push(&mut self, ms: f64) {
        self.0.push(ms);
    }

    /// Takes the time since `one` was started.
    pub(crate) fn stop(&mut self, one: Stopwatch) {
        self.push(millis(one));
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The value that `permille` of all do not exceed; NaN of nothing.
    pub(crate) fn at(&self, permille: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let place = (sorted.len() * permille / 1000).min(sorted.len().saturating_sub(1));
        sorted.get(place).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn p50(&self) -> f64 {
        self.at(500)
    }

    pub(crate) fn p99(&self) -> f64 {
        self.at(990)
    }
}

impl FromIterator<f64> for Latencies {
    fn from_iter<I: IntoIterator<Item = f64>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

/// The time since `watch` was started, in milliseconds.
pub(crate) fn millis(watch: Stopwatch) -> f64 {
    watch.elapsed().as_secs_f64() * 1e3
}

/// What rounds of a closed loop gave.
#[derive(Debug, Default, Clone)]
pub(crate) struct Rounds {
    rates: Latencies,
    pub(crate) latencies: Latencies,
}

impl Rounds {
    pub(crate) fn add(&mut self, rate: f64, latencies: Latencies) {
        self.rates.push(rate);
        self.latencies.extend(latencies);
    }

    /// The median of the rounds, per second.
    pub(crate) fn rate(&self) -> f64 {
        self.rates.p50()
    }

    pub(crate) fn shown(&self) -> String {
        format!("{:.0} /s, {}", self.rate(), spread(&self.latencies))
    }
}

/// `p50 0.123, p99 4.56 ms`.
pub(crate) fn spread(latencies: &Latencies) -> String {
    format!("p50 {}, p99 {} ms", short(latencies.p50()), short(latencies.p99()))
}

/// Three digits or so.
pub(crate) fn short(number: f64) -> String {
    match number.abs() {
        n if n >= 100.0 => format!("{number:.0}"),
        n if n >= 10.0 => format!("{number:.1}"),
        n if n >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

/// A line of the table.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) measured: String,
    pub(crate) baseline: String,
    /// Measured to baseline.
    pub(crate) ratio: Option<f64>,
    pub(crate) target: String,
    /// Absent where there is no target.
    pub(crate) met: Option<bool>,
}

impl Row {
    /// A line that says why there is nothing to say.
    pub(crate) fn absent(what: &str, why: &str) -> Self {
        Self { what: what.to_owned(), measured: why.to_owned(), ..Self::default() }
    }

    fn cells(&self) -> [String; 6] {
        let met = match self.met {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        [
            self.what.clone(),
            self.measured.clone(),
            self.baseline.clone(),
            self.ratio.map(short).unwrap_or_default(),
            self.target.clone(),
            met.to_owned(),
        ]
    }
}

/// The table as text, columns aligned.
pub(crate) fn table(rows: &[Row]) -> String {
    let head = ["what", "measured", "baseline", "ratio", "target", "met"].map(str::to_owned);
    let lines: Vec<_> = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| lines.iter().map(|l| l[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(text, "| {} |", cells.collect::<Vec<_>>().join(" | ")).expect("into a String");
        if number == 0 {
            let rules = widths.map(|width| "-".repeat(width));
            writeln!(text, "| {} |", rules.join(" | ")).expect("into a String");
        }
    }
    text
}
