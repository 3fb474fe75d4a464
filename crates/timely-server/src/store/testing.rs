//! Helpers of the tests of the store.
