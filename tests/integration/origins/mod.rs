//! Platforms as origins: what each says, and what becomes of it.

mod langfuse;
mod promptot;
