//! PromptOT as an origin.

mod asked;
mod exchange;
mod recorded;
