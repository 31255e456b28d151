//! The APIs callers already speak, and the one that edges speak with each other.
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

pub mod edge;
pub mod promptot;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderValue;
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};

use crate::access::Gate;
use crate::delivery::Delivery;
use crate::live::Live;
use crate::model::Refusal;
use crate::telemetry::metrics::RouteMetrics;
use crate::wire::Response;
use crate::wire::body::Limits;
use crate::wire::limits::whole_seconds;

/// The product's verbs, as every dialect gets them.
#[derive(Clone, Debug)]
pub struct Services {
    /// Who may pass.
    pub gate: Arc<Gate>,
    /// The read path.
    pub delivery: Arc<Delivery>,
    /// How much of a request's body is waited for.
    pub body: Live<Limits>,
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

/// Appends what HTTP itself says of a refusal, whatever the dialect: how to log in, which methods
/// there are, when to come back.
pub(crate) fn append_remedy(refusal: &Refusal, headers: &mut HeaderMap) {
    match refusal {
        Refusal::Unauthenticated => {
            let challenge = HeaderValue::from_static("Bearer realm=\"prompt-edge\"");
            headers.append(WWW_AUTHENTICATE, challenge);
        }
        Refusal::MethodNotAllowed { allow } => {
            headers.append(ALLOW, HeaderValue::from_static(allow));
        }
        Refusal::Overloaded { retry_after }
        | Refusal::QuotaUnknown { retry_after }
        | Refusal::OriginBroken { retry_after }
        | Refusal::OriginTimedOut { retry_after }
        | Refusal::OriginUnreachable { retry_after } => {
            headers.append(RETRY_AFTER, whole_seconds(*retry_after).into());
        }
        Refusal::RateLimited { retry_after, budgets } => {
            let until = budgets.nearest_to_its_end().map_or(Duration::ZERO, |b| b.resets_in);
            headers.append(RETRY_AFTER, whole_seconds(until.max(*retry_after)).into());
        }
        Refusal::QuotaSpent { budgets } => {
            let until = budgets.month.map_or(Duration::ZERO, |month| month.resets_in);
            headers.append(RETRY_AFTER, whole_seconds(until).into());
        }
        Refusal::BadInput { .. }
        | Refusal::CompiledByOrigin
        | Refusal::Forbidden { .. }
        | Refusal::NotFound { .. }
        | Refusal::TooLarge { .. }
        | Refusal::TooSlow
        | Refusal::NotKept
        | Refusal::Internal => {}
    }
}
