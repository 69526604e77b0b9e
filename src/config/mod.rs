//! The configuration: its model, its readers and its checks.
