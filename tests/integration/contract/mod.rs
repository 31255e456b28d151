//! What every store and every ledger owes, whatever stands behind it.
//!
//! Each function in the files beside this one states one promise: of `origins::Origin` or
//! `origins::Store`, given an empty store; or of `ledger::Ledger`, given an empty store and the
//! ledger as two processes have it. To add an implementation, add one line at the bottom; it then
//! has to keep them all.

mod changes;
mod crowd;
pub(crate) mod given;
mod keys;
mod ledger;
pub(crate) mod origin;
mod projects;
mod prompts;
mod publishing;
mod transfer;

macro_rules! keeps_the_contract {
    ($store:ident, $open:expr) => {
        mod $store {
            keeps_the_contract!(@each $open;
                changes::a_change_is_readable_when_it_is_told
                changes::a_delete_tells_both_names
                changes::a_failed_write_is_no_change
                changes::a_key_that_was_used_is_no_change
                changes::every_write_to_a_key_tells_its_digest
                changes::every_write_to_a_project_tells_it
                changes::every_write_to_a_prompt_tells_it
                changes::publishing_and_rolling_back_tell_the_prompt
                changes::repeats_are_told_once
                changes::the_start_is_answered_at_once
                changes::waiting_ends_with_the_next_change
                keys::a_digest_belongs_to_one_key
                keys::a_granted_key_brings_its_project_and_environment
                keys::a_key_needs_an_environment_of_its_project
                keys::a_revoked_key_keeps_its_first_moment
                keys::an_unknown_digest_is_none
                keys::keys_are_listed_by_id
                keys::last_use_never_moves_back
                projects::a_name_is_taken_once
                projects::a_plan_is_replaced_and_granted
                projects::an_environment_is_found_by_name_in_its_project_alone
                projects::a_project_starts_with_live_and_dev
                projects::defaults_are_replaced_and_delivered
                projects::projects_are_sorted_by_name
                projects::the_plan_a_project_is_on_is_no_change
                prompts::a_deleted_prompt_is_gone
                prompts::a_missing_prompt_is_none
                prompts::a_project_never_sees_anothers_prompt
                prompts::a_prompt_is_found_by_slug_and_by_id_alike
                prompts::an_environment_of_another_project_serves_nothing
                prompts::drafts_are_served_to_dev_alone
                prompts::the_list_holds_what_the_environment_serves
                prompts::the_overview_holds_everything
                publishing::a_publish_is_seen_whole_or_not_at_all
                publishing::a_rollback_goes_back_one_publication_at_a_time
                publishing::a_rollback_without_a_publication_before_is_refused
                publishing::environments_are_published_to_one_by_one
                publishing::publishing_again_after_a_rollback_starts_from_there
                publishing::publishing_the_live_version_changes_nothing
                publishing::publishing_what_is_not_there_is_refused
                transfer::a_changed_content_is_the_next_draft
                transfer::a_described_prompt_is_described_anew
                transfer::a_diverged_history_is_kept
                transfer::a_failed_import_stores_nothing
                transfer::a_longer_history_is_continued
                transfer::a_taken_id_is_replaced
                transfer::an_export_comes_back_as_it_was
                transfer::an_export_of_one_prompt_holds_that_one
                transfer::an_unchanged_content_makes_no_version
                transfer::exact_content_survives
                transfer::labels_and_pointers_of_an_import_are_taken_over
                transfer::what_is_imported_can_be_published_at_once
            );
        }
    };
    (@each $open:expr; $($file:ident::$promise:ident)*) => {$(
        #[tokio::test]
        async fn $promise() {
            let kept = $open;
            super::$file::$promise(std::sync::Arc::clone(&kept.store)).await;
        }
    )*};
}

macro_rules! keeps_the_ledgers_contract {
    ($ledger:ident, $open:expr) => {
        mod $ledger {
            keeps_the_ledgers_contract!(@each $open;
                a_crash_never_admits_a_request_twice
                a_lease_is_at_most_what_is_left
                a_lease_of_nothing_is_ended
                a_new_month_starts_at_zero
                a_quota_below_what_is_used_grants_nothing
                a_renewed_lease_expires_later
                an_expired_lease_counts_as_used
                an_expired_lease_is_not_continued
                an_unknown_project_cannot_be_counted
                another_project_is_untouched
                any_ask_counts_what_has_expired_in_past_months
                leases_together_never_exceed_the_quota
                no_quota_is_never_spent
                nothing_is_lost_or_made_by_a_holder_that_miscounts
                settling_gives_the_rest_back
                usage_is_listed_newest_first_then_by_project
                what_is_overdrawn_counts_with_a_lease_and_without
                what_is_spent_moves_from_leased_to_used
            );
        }
    };
    (@each $open:expr; $($promise:ident)*) => {$(
        #[tokio::test]
        async fn $promise() {
            let kept = $open;
            super::ledger::$promise(std::sync::Arc::clone(&kept.store), kept.ledgers()).await;
        }
    )*};
}

keeps_the_contract!(sqlite, crate::harness::store::sqlite());
keeps_the_ledgers_contract!(sqlites_ledger, crate::harness::store::sqlite());
