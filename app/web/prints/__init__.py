"""Pages for paper: a referral letter and a payer's authorisation."""
