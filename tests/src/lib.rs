//! Tests of abeyance as its users see it; there is nothing to use here.
