//! The question that tells whether an origin is well again, for as little as possible.

use crate::model::PromptName;
use crate::origins::{Compile, Error, Found, Origin, Question, Reader, Told, Validator};

/// What an origin is asked before anything that costs it more.
#[derive(Clone, Debug, Default)]
pub(super) enum Probe {
    /// The list of prompts, of which the validator may say that it has not changed.
    Listing { reader: Reader, known: Validator },
    /// What the origin itself has for that.
    #[default]
    Plain,
    /// A prompt, of which the validator may say that it has not changed.
    Prompt { reader: Reader, prompt: PromptName, compile: Option<Compile>, known: Validator },
}

impl Probe {
    /// A question about a prompt that was answered with a validator. `None` if there was no
    /// validator, or if the key was a caller's own: it is used for that caller and nothing else.
    pub(super) fn prompt<T>(question: &Question<'_>, told: &Told<T>) -> Option<Self> {
        let known = validator(question.reader, told, question.known)?;
        Some(Self::Prompt {
            reader: question.reader.clone(),
            prompt: question.prompt.clone(),
            compile: question.compile.cloned(),
            known,
        })
    }

    /// The same for the list.
    pub(super) fn listing<T>(
        reader: &Reader,
        known: Option<&Validator>,
        told: &Told<T>,
    ) -> Option<Self> {
        let known = validator(reader, told, known)?;
        Some(Self::Listing { reader: reader.clone(), known })
    }

    /// Asks. What the answer says of prompts is of no interest here.
    pub(super) async fn ask(&self, origin: &dyn Origin) -> Result<(), Error> {
        match self {
            Self::Listing { reader, known } => origin.listing(reader, Some(known)).await.map(drop),
            Self::Plain => origin.probe().await,
            Self::Prompt { reader, prompt, compile, known } => {
                let (compile, known) = (compile.as_ref(), Some(known));
                origin.prompt(Question { reader, prompt, compile, known }).await.map(drop)
            }
        }
    }
}

/// What stands for the answer from now on.
fn validator<T>(reader: &Reader, told: &Told<T>, known: Option<&Validator>) -> Option<Validator> {
    let is_ours = reader.credential.is_none();
    let still = matches!(told.found, Found::Unchanged).then_some(known).flatten();
    told.validator.as_ref().or(still).filter(|_| is_ours).cloned()
}
