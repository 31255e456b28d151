//! The APIs callers already speak.
//!
//! A dialect translates and decides nothing: it reads an ask out of a request, hands it to the
//! product's verbs, and writes the answer or the refusal as its API does. Each is a folder with the
//! same five files:
//!
//! | file       | holds                                              |
//! |------------|----------------------------------------------------|
//! | `mod`      | whose API it is, where we differ, the entry        |
//! | `routes`   | method and path → handler                          |
//! | `handlers` | parse → act → shape                                |
//! | `shapes`   | wire types, field for field                        |
//! | `errors`   | every refusal → status and body, exhaustively      |
//!
//! To add one: a folder, a line below, its name in `server::route`, its golden exchanges.

pub mod promptot;

use std::sync::Arc;

use crate::access::Gate;
use crate::delivery::Delivery;
use crate::telemetry::metrics::RouteMetrics;
use crate::wire::Response;
use crate::wire::body::Limits;

/// The product's verbs, as every dialect gets them.
#[derive(Clone, Debug)]
pub struct Services {
    /// Who may pass.
    pub gate: Arc<Gate>,
    /// The read path.
    pub delivery: Arc<Delivery>,
    /// How much of a request's body is waited for.
    pub body: Limits,
}

/// A dialect's response, and what to count it under.
pub struct Served {
    /// The response, finished but for what every response carries.
    pub response: Response,
    /// The route that made it.
    pub route: Arc<RouteMetrics>,
    /// Why the caller was turned away, if so.
    pub refused: Option<&'static str>,
}
