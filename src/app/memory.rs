//! The snapshot of a running edge: taken of its parts, and given back to them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::app::assembly::Assembly;
use crate::config::Snapshot;
use crate::model::{OriginName, Project, Tenant};
use crate::origins::{self, Origin, Reader};
use crate::snapshot::file::{self, Key, Unusable};
use crate::snapshot::image::{self, Image};
use crate::telemetry::trace::Chain;

/// The file that memory is kept in.
#[derive(Clone)]
pub(crate) struct Memory {
    path: Arc<PathBuf>,
    key: Option<Arc<Key>>,
}

impl Memory {
    /// The configured file; `None` if memory is not kept.
    pub(crate) fn of(config: &Snapshot) -> Option<Self> {
        let path = Arc::new(config.path.clone()?);
        let key = config.key.as_ref().map(|key| Arc::new(Key::new(key.expose())));
        Some(Self { path, key })
    }

    /// Writes down what is in memory. A failure is logged: the file before it is still good.
    pub(crate) async fn write(&self, assembly: &Assembly) {
        let image = assembly.image();
        let saved_at = image.saved_at;
        let Self { path, key } = self.clone();
        let (into, written) = (
            Arc::clone(&path),
            tokio::task::spawn_blocking(move || {
                file::write(&path, &image::encode(&image), key.as_deref())
            }),
        );
        let written = written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        match written {
            Ok(()) => assembly.metrics.snapshot_written(saved_at),
            Err(error) => {
                let path = into.display();
                tracing::warn!(%path, %error, "the snapshot was not written");
            }
        }
    }

    /// Reads what was in memory. A file that cannot be used is a warning and a cold start.
    pub(crate) async fn read(&self) -> Option<Image> {
        let Self { path, key } = self.clone();
        let (from, read) = (
            Arc::clone(&path),
            tokio::task::spawn_blocking(move || file::read(&path, key.as_deref())),
        );
        let path = from.display();
        match read.await.unwrap_or_else(|error| Err(Unusable::Unreadable(io::Error::other(error))))
        {
            Ok(bytes) => match image::decode(&bytes) {
                Ok(image) => Some(image),
                Err(error) => {
                    tracing::warn!(%path, %error, "the snapshot is not used");
                    None
                }
            },
            Err(Unusable::Absent) => {
                tracing::info!(%path, "there is no snapshot yet");
                None
            }
            Err(error) => {
                tracing::warn!(%path, error = %Chain(&error), "the snapshot is not used");
                None
            }
        }
    }
}

impl Assembly {
    /// What is in memory.
    pub fn image(&self) -> Image {
        let (records, answers) = self.delivery.capture();
        let saved_at = self.clock.now();
        Image { saved_at, records, answers, keys: self.gate.keyring().capture() }
    }

    /// Fills memory with what an edge had in it before, as far as it is of projects that are still
    /// there. An origin that does not answer now is not waited for until it does.
    pub async fn restore(&self, image: Image) {
        // The wall clock may have been set back: then no time has passed.
        let since = self.clock.now().since(image.saved_at);
        let tenants = match self.tenants().await {
            Ok(tenants) => tenants,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "the snapshot is not used");
                return;
            }
        };
        self.health.has_heard_from_the_store();
        let is_known = |reader: &Reader| tenants.iter().any(|tenant| tenant.is_of(reader));
        let (records, answers) = (image.records.len(), image.answers.len());
        let restored = self.delivery.restore(&image, since, &self.router.shapes(), is_known);
        let keys = image.keys.into_iter().filter(|key| {
            let tenant = key.grant.tenant();
            tenants.iter().any(|known| known.tenant == tenant)
        });
        self.gate.keyring().restore(keys, image.saved_at);
        tracing::info!(records, answers, "memory is what the snapshot says");

        // All at once: one that is silent must not make the others wait.
        let mut probes = JoinSet::new();
        for source in self.delivery.sources().named.values() {
            if restored.contains(source.origin.name()) {
                self.health.has_heard_from_an_origin();
                probes.spawn(doubtful(Arc::clone(&source.origin)));
            }
        }
        for name in probes.join_all().await.into_iter().flatten() {
            tracing::warn!(origin = name.as_str(), "an origin is away: memory answers for it");
            self.delivery.doubt(&name);
        }
    }

    /// Every environment there is.
    async fn tenants(&self) -> Result<Vec<Known>, origins::Error> {
        let mut tenants = Vec::new();
        for project in self.store.projects().await? {
            for environment in self.store.environments(project.id).await? {
                let tenant = Tenant::new(project.id, environment.id);
                let project = project.clone();
                tenants.push(Known { tenant, project, environment: environment.name });
            }
        }
        Ok(tenants)
    }
}

/// The origin's name, unless it says at once that it is there.
async fn doubtful(origin: Arc<dyn Origin>) -> Option<OriginName> {
    let answered = timeout(PROBE_WITHIN, origin.probe()).await;
    (!matches!(answered, Ok(Ok(())))).then(|| origin.name().clone())
}

/// An environment of a project.
struct Known {
    tenant: Tenant,
    project: Project,
    environment: String,
}

impl Known {
    /// Whether the reader is of this environment: by id and by name, and of the same origin, since
    /// the store may be another than it was.
    fn is_of(&self, reader: &Reader) -> bool {
        let Reader { tenant, project, environment, origin, .. } = reader;
        self.tenant == Tenant { holder: None, ..*tenant }
            && self.project.name == **project
            && self.environment == **environment
            && self.project.origin == *origin
    }
}

/// How long an origin may take to say at the start that it is there.
const PROBE_WITHIN: Duration = Duration::from_secs(1);
