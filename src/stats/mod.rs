//! What the broker counts: one table of metrics, counters that cost one relaxed addition, and sums of them.
//!
//! Each worker has its own [`Counters`], so that counting never moves a cache line between cores; the stats
//! collector adds them up when somebody asks.

mod counters;
mod gauges;
mod metric;
mod rates;

pub use counters::{Counters, Totals};
pub use gauges::{Gauge, Gauges};
pub use metric::{DropReason, Metric};
pub use rates::Rates;
