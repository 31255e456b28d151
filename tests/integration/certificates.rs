//! Callers that are known by their certificates.
