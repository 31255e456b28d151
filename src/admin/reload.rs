//! `POST /admin/reload`: read the configuration anew, and say what came of it.

use std::sync::{Arc, OnceLock};

use http::StatusCode;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use crate::wire::Response;
use crate::wire::representation::{uncached_error, uncached_json};

/// What came of reading the configuration anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// It is good, and holds as far as it can without a restart.
    Good {
        /// The keys whose new values hold from now on.
        applied: Vec<String>,
        /// Those whose new values wait for a restart.
        waiting: Vec<Waiting>,
    },
    /// It is wrong, and what held before still does.
    Wrong {
        /// Every problem, in the words of `prompt-edge check`.
        problems: String,
    },
}

/// A setting that cannot change while the edge runs. Of a secret neither value is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its key.
    pub key: String,
    /// What holds.
    pub running: String,
    /// What would hold after a restart.
    pub wanted: String,
}

impl Reloaded {
    /// The result in metrics and answers.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Good { applied, .. } if applied.is_empty() => "unchanged",
            Self::Good { .. } => "applied",
            Self::Wrong { .. } => "refused",
        }
    }

    fn respond(&self) -> Response {
        let result = self.as_str();
        match self {
            Self::Good { applied, waiting } => {
                let waiting: Vec<_> = waiting
                    .iter()
                    .map(|Waiting { key, running, wanted }| {
                        json!({"key": key, "running": running, "configured": wanted})
                    })
                    .collect();
                let body = json!({"result": result, "applied": applied, "needs_restart": waiting});
                uncached_json(StatusCode::OK, body.to_string().into_bytes())
            }
            Self::Wrong { problems } => uncached_error(StatusCode::UNPROCESSABLE_ENTITY, problems),
        }
    }
}

/// One wish for a reload, and where to say what came of it.
pub type Wish = oneshot::Sender<Reloaded>;

/// Where reloads are wished for. They happen one after another, out of the way of requests.
#[derive(Clone, Debug, Default)]
pub struct Reloads(Arc<OnceLock<mpsc::Sender<Wish>>>);

impl Reloads {
    /// Begins to take wishes; whoever has the receiver fulfils them. `None` if somebody does
    /// already.
    pub fn open(&self) -> Option<mpsc::Receiver<Wish>> {
        // One that waits is enough for all who come meanwhile: it will read what is newest.
        let (wishes, fulfilled) = mpsc::channel(1);
        self.0.set(wishes).ok().map(|()| fulfilled)
    }

    /// Wishes for a reload and waits for none.
    pub fn wish(&self) {
        if let Some(wishes) = self.0.get() {
            // If there is no room, one is about to begin.
            let _ = wishes.try_send(oneshot::channel().0);
        }
    }

    /// Reloads; `None` if this edge does not, or does no longer.
    pub async fn reload(&self) -> Option<Reloaded> {
        let (told, result) = oneshot::channel();
        self.0.get()?.send(told).await.ok()?;
        result.await.ok()
    }

    pub(super) async fn respond(&self) -> Response {
        match self.reload().await {
            Some(reloaded) => reloaded.respond(),
            None => {
                let problem = "this edge does not read its configuration anew (any more)";
                uncached_error(StatusCode::SERVICE_UNAVAILABLE, problem)
            }
        }
    }
}
