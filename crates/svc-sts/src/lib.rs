//! svc-sts
