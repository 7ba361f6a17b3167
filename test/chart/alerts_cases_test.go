package chart_test

// Series of the API server that the cases below use.
const (
	noAnswer = `apiserver_admission_webhook_rejection_count{name="aws-auth.awsauth-guard.io",type="validating",operation="UPDATE",error_type="calling_webhook_error",rejection_code="0",job="apiserver",instance="x"}`
	failOpen = `apiserver_admission_webhook_fail_open_count{name="aws-auth.awsauth-guard.io",type="validating",job="apiserver",instance="x"}`
	scraped  = `up{job="apiserver",instance="x"}`
	denied   = `apiserver_validating_admission_policy_check_total{policy="awsauth-guard-backstop",policy_binding="awsauth-guard-backstop",error_type="no_error",enforcement_action="deny",job="apiserver",instance="x"}`
)

// alertCases are the cases of TestAlerts. If the number of pods matters, the pods are a and b. The lists of values are in the
// notation of promtool: 1x4 is five times the value 1, 0+1x4 the values 0 to 4, and _x4 four times no value. stale ends a series,
// as when a pod ends.
var alertCases = []alertCase{
	{alert: "AwsAuthGuardDown", fires: []string{"3m"}, quiet: []string{"1m"}},
	{alert: "AwsAuthGuardDown", series: map[string]string{
		`awsauth_guard_build_info{instance="a"}`: "1x4 stale",
		`awsauth_guard_build_info{instance="b"}`: "1x9 stale",
	}, quiet: []string{"1m", "4m30s", "6m"}, fires: []string{"8m"}},

	{alert: "AwsAuthGuardUnreachable", series: map[string]string{scraped: "1x120", noAnswer: "_x40 1x80"}, quiet: []string{"19m", "36m"}, fires: []string{"20m30s", "34m"}},
	{alert: "AwsAuthGuardUnreachable", series: map[string]string{scraped: "1x120", noAnswer: "7x40 8x80"}, quiet: []string{"10m", "36m"}, fires: []string{"21m", "30m"}},
	{alert: "AwsAuthGuardUnreachable", series: map[string]string{scraped: "1x120", failOpen: "_x40 1x80"}, quiet: []string{"19m", "36m"}, fires: []string{"21m"}},
	{alert: "AwsAuthGuardUnreachable", series: map[string]string{scraped: "_x40 1x120", noAnswer: "_x40 7x120"}, quiet: []string{"20m", "21m", "30m", "40m"}}, // Prometheus is new, and has no earlier values
	{alert: "AwsAuthGuardUnreachable", series: map[string]string{ // the webhook answers with refusals, and another webhook fails
		scraped: "1x120",
		`apiserver_admission_webhook_rejection_count{name="aws-auth.awsauth-guard.io",error_type="no_error",job="apiserver",instance="x"}`: "_x40 1x80",
		`apiserver_admission_webhook_rejection_count{name="other",error_type="calling_webhook_error",job="apiserver",instance="x"}`:        "_x40 1x80",
		`apiserver_admission_webhook_fail_open_count{name="other",job="apiserver",instance="x"}`:                                           "_x40 1x80",
	}, quiet: []string{"21m"}},

	{alert: "AwsAuthGuardNotEnforced", series: map[string]string{
		`awsauth_guard_enforced{instance="a"}`: "1x40",
		`awsauth_guard_enforced{instance="b"}`: "1x4 0x9 1x20",
	}, quiet: []string{"2m", "3m", "8m"}, fires: []string{"3m30s", "6m"}},
	{alert: "AwsAuthGuardNotEnforced", series: map[string]string{ // the pod that reports that it does not enforce ends
		`awsauth_guard_enforced{instance="a"}`: "0x1 stale",
		`awsauth_guard_enforced{instance="b"}`: "1x40",
	}, quiet: []string{"30s", "1m", "3m"}},

	{alert: "AwsAuthGuardBlind", series: map[string]string{
		`awsauth_guard_build_info{job="guard",instance="a"}`:  "1x80",
		`awsauth_guard_build_info{job="guard",instance="b"}`:  "1x80",
		`awsauth_guard_enforced{job="guard",instance="a"}`:    "1x80",
		`awsauth_guard_live_admins{job="guard",instance="a"}`: "1x80",
		`awsauth_guard_live_admins{job="guard",instance="b"}`: "1x80",
	}, quiet: []string{"9m"}, fires: []string{"11m"}},
	{alert: "AwsAuthGuardBlind", series: map[string]string{
		`awsauth_guard_build_info{job="guard",instance="a"}`: "1x80",
		`awsauth_guard_enforced{job="guard",instance="a"}`:   "0x80",
	}, quiet: []string{"9m"}, fires: []string{"11m"}},
	{alert: "AwsAuthGuardBlind", series: map[string]string{ // the pod can evaluate aws-auth; other alerts report the faults
		`awsauth_guard_build_info{job="guard",instance="a"}`:  "1x80",
		`awsauth_guard_enforced{job="guard",instance="a"}`:    "0x80",
		`awsauth_guard_live_admins{job="guard",instance="a"}`: "_x9 0x80",
	}, quiet: []string{"3m", "20m"}},
	{alert: "AwsAuthGuardBlind", series: map[string]string{ // the stored text is too expensive to evaluate
		`awsauth_guard_build_info{job="guard",instance="a"}`:   "1x80",
		`awsauth_guard_enforced{job="guard",instance="a"}`:     "1x80",
		`awsauth_guard_live_present{job="guard",instance="a"}`: "1x80",
		`awsauth_guard_live_admins{job="guard",instance="a"}`:  "1x9 stale",
	}, quiet: []string{"4m", "14m"}, fires: []string{"16m"}},

	{alert: "AwsAuthGuardCANotStored", series: map[string]string{
		`awsauth_guard_serving_ca_stored{instance="a"}`: "1x40",
		`awsauth_guard_serving_ca_stored{instance="b"}`: "1x4 0x20",
	}, quiet: []string{"2m", "4m"}, fires: []string{"5m"}},
	{alert: "AwsAuthGuardCANotStored", series: map[string]string{ // the leader creates the Secret again
		`awsauth_guard_serving_ca_stored{instance="a"}`: "1x4 0x1 1x40",
	}, quiet: []string{"2m30s", "4m", "10m"}},

	{alert: "AwsAuthGuardNoLeader", series: map[string]string{
		`awsauth_guard_leader{instance="a"}`: "0x40",
		`awsauth_guard_leader{instance="b"}`: "0x40",
	}, quiet: []string{"4m"}, fires: []string{"6m"}},
	{alert: "AwsAuthGuardNoLeader", series: map[string]string{
		`awsauth_guard_leader{instance="a"}`: "1x40",
		`awsauth_guard_leader{instance="b"}`: "0x40",
	}, quiet: []string{"10m"}},
	{alert: "AwsAuthGuardNoLeader", series: map[string]string{ // another replica takes over
		`awsauth_guard_leader{instance="a"}`: "1x4 stale",
		`awsauth_guard_leader{instance="b"}`: "0x8 1x40",
	}, quiet: []string{"2m", "4m", "20m"}},

	{alert: "AwsAuthGuardHistoryErrors", series: map[string]string{`awsauth_guard_history_errors_total{instance="a"}`: "0+1x80"}, quiet: []string{"10m"}, fires: []string{"17m"}},
	{alert: "AwsAuthGuardHistoryErrors", series: map[string]string{`awsauth_guard_history_errors_total{instance="a"}`: "0 9x80"}, quiet: []string{"1m", "17m", "30m"}},

	{
		alert: "AwsAuthGuardCertificateExpiry", series: map[string]string{
			`awsauth_guard_serving_certificate_expiry_timestamp_seconds{instance="a"}`: "5184000x80", // 60 days
			`awsauth_guard_serving_certificate_expiry_timestamp_seconds{instance="b"}`: "3801600x80", // 44 days
			`awsauth_guard_serving_ca_expiry_timestamp_seconds`:                        "10368000x80",
		}, quiet: []string{"10m"}, fires: []string{"20m"},
		says: `It ends in 43d 23h 40m 0s, and then every review of aws-auth fails. First look in the log for "cannot maintain the serving certificate".`,
	},
	{alert: "AwsAuthGuardCertificateExpiry", series: map[string]string{
		`awsauth_guard_serving_certificate_expiry_timestamp_seconds`: "3974400x80", // 46 days
		`awsauth_guard_serving_ca_expiry_timestamp_seconds`:          "7862400x80", // 91 days
	}, quiet: []string{"20m"}},
	{
		alert: "AwsAuthGuardCertificateExpiry", series: map[string]string{
			`awsauth_guard_serving_certificate_expiry_timestamp_seconds`: "5184000x80",
			`awsauth_guard_serving_ca_expiry_timestamp_seconds`:          "7689600x80", // 89 days
		}, fires: []string{"20m"},
		says: `It ends in 88d 23h 40m 0s, and then every review of aws-auth fails. First look in the log for "cannot maintain the serving certificate".`,
	},
	{
		alert: "AwsAuthGuardCertificateExpiry", rendered: "certs.mode=cert-manager",
		series: map[string]string{`awsauth_guard_serving_certificate_expiry_timestamp_seconds`: "1814400-1800x80"}, // 21 days
		quiet:  []string{"20m"}, fires: []string{"40m"},
		says: `It ends in 19d 7h 20m 0s, and then every review of aws-auth fails. First run kubectl describe certificate.`,
	},

	{
		alert: "AwsAuthGuardSlowReviews", series: map[string]string{
			`awsauth_guard_review_duration_seconds_bucket{le="0.5"}`:  "0x4 98x80",
			`awsauth_guard_review_duration_seconds_bucket{le="1"}`:    "0x4 100x80",
			`awsauth_guard_review_duration_seconds_bucket{le="+Inf"}`: "0x4 100x80",
		}, quiet: []string{"2m", "20m"}, fires: []string{"5m"},
		says: "One review in a hundred takes 750ms; the API server waits for 5 s. First check whether the pods get the CPU that they need.",
	},
	{alert: "AwsAuthGuardSlowReviews", series: map[string]string{
		`awsauth_guard_review_duration_seconds_bucket{le="0.25"}`: "0x4 5x80",
		`awsauth_guard_review_duration_seconds_bucket{le="0.5"}`:  "0x4 10x80",
		`awsauth_guard_review_duration_seconds_bucket{le="+Inf"}`: "0x4 10x80",
	}, quiet: []string{"5m"}},
	{alert: "AwsAuthGuardSlowReviews", rendered: "guardConfig.iam.mode=warn", series: map[string]string{ // the reviews wait for IAM
		`awsauth_guard_review_duration_seconds_bucket{le="1"}`:    "0x4 5x80",
		`awsauth_guard_review_duration_seconds_bucket{le="2.5"}`:  "0x4 10x80",
		`awsauth_guard_review_duration_seconds_bucket{le="+Inf"}`: "0x4 10x80",
	}, quiet: []string{"5m"}},
	{
		alert: "AwsAuthGuardSlowReviews", rendered: "guardConfig.iam.mode=warn", series: map[string]string{
			`awsauth_guard_review_duration_seconds_bucket{le="2.5"}`:  "0x4 5x80",
			`awsauth_guard_review_duration_seconds_bucket{le="5"}`:    "0x4 10x80",
			`awsauth_guard_review_duration_seconds_bucket{le="+Inf"}`: "0x4 10x80",
		}, fires: []string{"5m"},
		says: "One review in a hundred takes 4.95s; the API server waits for 5 s. First check how long IAM takes, and then whether the pods get the CPU that they need.",
	},

	{
		alert: "AwsAuthGuardRulePanics", series: map[string]string{`awsauth_guard_rule_panics_total{rule="emptied"}`: "0x4 1x80"},
		quiet: []string{"2m", "25m"}, fires: []string{"5m"}, more: map[string]string{"rule": "emptied"},
		says: "emptied has failed; the log has the stack. First set the rule to off in guardConfig.rules until it is repaired; internal-error means a failure outside the rules.",
	},

	{
		alert: "AwsAuthGuardReviewsFail", series: map[string]string{`awsauth_guard_reviews_total{operation="UPDATE",verdict="error",dry_run="false"}`: "0x4 1x80"},
		quiet: []string{"2m", "25m"}, fires: []string{"5m"}, more: map[string]string{"operation": "UPDATE"},
		says: "A review of the operation UPDATE reached no verdict. The guard refused the change, unless the request was one of EKS or used the bypass. First look in the log, which says why.",
	},
	{alert: "AwsAuthGuardReviewsFail", series: map[string]string{
		`awsauth_guard_reviews_total{operation="UPDATE",verdict="error",dry_run="true"}`: "0x4 1x80",
		`awsauth_guard_reviews_total{operation="UPDATE",verdict="deny",dry_run="false"}`: "0x4 1x80",
	}, quiet: []string{"5m"}},

	{alert: "AwsAuthGuardConfigRefused", series: map[string]string{
		`awsauth_guard_config_last_reload_successful{instance="a"}`: "1x80",
		`awsauth_guard_config_last_reload_successful{instance="b"}`: "1x4 0x20 1x80",
	}, quiet: []string{"2m", "7m", "14m"}, fires: []string{"8m"}},

	{
		alert: "AwsAuthGuardIAMUnknown", series: map[string]string{
			`awsauth_guard_iam_lookups_total{result="unknown"}`: "0x4 3x200",
			`awsauth_guard_iam_lookups_total{result="exists"}`:  "0x4 1x200",
			`awsauth_guard_iam_lookups_total{result="missing"}`: "0x200",
		}, quiet: []string{"2m", "70m"}, fires: []string{"10m"},
		says: "75% of the lookups of an hour had the result unknown: an entry for a principal that does not exist passes with a warning. First look in the log, which says why.",
	},
	{alert: "AwsAuthGuardIAMUnknown", series: map[string]string{ // many lookups have the result unknown, but most have another result
		`awsauth_guard_iam_lookups_total{result="unknown"}`: "0x4 3x200",
		`awsauth_guard_iam_lookups_total{result="exists"}`:  "0x4 4x200",
	}, quiet: []string{"10m"}},
	{alert: "AwsAuthGuardIAMUnknown", series: map[string]string{ // every lookup has the result unknown, but there is only one
		`awsauth_guard_iam_lookups_total{result="unknown"}`: "0x4 1x200",
		`awsauth_guard_iam_lookups_total{result="exists"}`:  "0x200",
	}, quiet: []string{"10m"}},

	{alert: "AwsAuthGuardAccessEntriesUnknown", series: map[string]string{ // only one pod of two does not know the access entries
		`awsauth_guard_eks_access_entries_known{instance="a"}`: "1x80",
		`awsauth_guard_eks_access_entries_known{instance="b"}`: "1x4 0x30 1x40",
	}, quiet: []string{"2m", "7m", "19m"}, fires: []string{"8m", "17m"}},
	{alert: "AwsAuthGuardAccessEntriesUnknown", series: map[string]string{ // a pod starts and reads for the first time
		`awsauth_guard_eks_access_entries_known{instance="a"}`: "1x80",
		`awsauth_guard_eks_access_entries_known{instance="b"}`: "_x9 0x4 1x60",
	}, quiet: []string{"5m", "7m", "12m", "20m"}},
	{alert: "AwsAuthGuardAccessEntriesUnknown", series: map[string]string{ // reads fail now and then, or eks.enabled is false
		`awsauth_guard_eks_reads_total{result="failed"}`: "0+1x80",
		`awsauth_guard_eks_reads_total{result="ok"}`:     "0x80",
	}, quiet: []string{"30m"}},

	{
		alert: "AwsAuthGuardProtectedPrincipalMissing", series: map[string]string{
			`awsauth_guard_live_protected_missing{instance="a"}`: "0x80",
			`awsauth_guard_live_protected_missing{instance="b"}`: "0x4 1x20 0x80",
		}, quiet: []string{"2m", "4m", "14m"}, fires: []string{"5m"},
		says: "1 of the principals in guardConfig.protected cannot log in with all declared groups or admin rights. First: kubectl awsauth history, and kubectl awsauth rollback --dry-run.",
	},
	{alert: "AwsAuthGuardProtectedPrincipalMissing", series: map[string]string{ // the pod that counts a missing principal ends
		`awsauth_guard_live_protected_missing{instance="a"}`: "1x2 stale",
		`awsauth_guard_live_protected_missing{instance="b"}`: "0x80",
	}, quiet: []string{"1m", "4m"}},

	{alert: "AwsAuthGuardNoAdmin", series: map[string]string{
		`awsauth_guard_live_admins{instance="a"}`: "3x80",
		`awsauth_guard_live_admins{instance="b"}`: "3x4 0x20 1x80",
	}, quiet: []string{"2m", "3m", "14m"}, fires: []string{"4m"}},

	{
		alert: "AwsAuthGuardAccessEntryLost", series: map[string]string{
			`awsauth_guard_access_entry_losses_total{kind="node-role",instance="a"}`:           "0x4 1x80",
			`awsauth_guard_access_entry_losses_total{kind="node-role",instance="b"}`:           "0x80",
			`awsauth_guard_access_entry_losses_total{kind="last-admin",instance="a"}`:          "0x80",
			`awsauth_guard_access_entry_losses_total{kind="protected-principal",instance="a"}`: "3x80",
		}, quiet: []string{"2m", "25m"}, fires: []string{"3m", "10m"}, more: map[string]string{"kind": "node-role"},
		says: "The loss is node-role. The guard cannot refuse changes of access entries. First: kubectl get events -n kube-system --field-selector reason=AccessEntryLost. AWS CloudTrail shows who made the change.",
	},
	{alert: "AwsAuthGuardAccessEntryLost", series: map[string]string{ // a pod ends that has counted no loss
		`awsauth_guard_access_entry_losses_total{kind="last-admin",instance="a"}`: "0x4 stale",
	}, quiet: []string{"1m", "4m", "10m"}},

	{alert: "AwsAuthGuardAwsAuthMissing", series: map[string]string{
		`awsauth_guard_live_present{instance="a"}`: "1x80",
		`awsauth_guard_live_present{instance="b"}`: "1x4 0x20 1x80",
	}, quiet: []string{"2m", "3m", "14m"}, fires: []string{"4m"}},

	{alert: "AwsAuthGuardNoAdmin", series: map[string]string{`awsauth_guard_live_admins{instance="a"}`: "0x80"}, quiet: []string{"2m", "20m"}},
	{alert: "AwsAuthGuardAwsAuthMissing", series: map[string]string{`awsauth_guard_live_present{instance="a"}`: "0x80"}, quiet: []string{"2m", "20m"}},

	{alert: "AwsAuthGuardBypassed", series: map[string]string{
		`awsauth_guard_bypassed_changes_total{instance="a"}`: "0x4 1x80",
		`awsauth_guard_bypassed_changes_total{instance="b"}`: "0x80",
	}, quiet: []string{"2m", "25m"}, fires: []string{"3m", "10m"}},
	{alert: "AwsAuthGuardBypassed", series: map[string]string{ // the pod that counted the bypass ends
		`awsauth_guard_bypassed_changes_total{instance="a"}`: "0x4 1x2 stale",
		`awsauth_guard_bypassed_changes_total{instance="b"}`: "0x80",
	}, quiet: []string{"2m", "25m"}, fires: []string{"3m", "10m"}},

	{alert: "AwsAuthGuardRestored", series: map[string]string{`awsauth_guard_restores_total{result="restored"}`: "0x4 1x80"}, quiet: []string{"2m", "25m"}, fires: []string{"3m", "10m"}},
	{alert: "AwsAuthGuardRestored", series: map[string]string{`awsauth_guard_restores_total{result="failed"}`: "0x4 1x80"}, quiet: []string{"3m"}},

	{
		alert: "AwsAuthGuardNotRestored", series: map[string]string{
			`awsauth_guard_restores_total{result="limited"}`: "0x4 1x80",
			`awsauth_guard_restores_total{result="failed"}`:  "0x80",
		}, quiet: []string{"2m", "25m"}, fires: []string{"3m", "10m"}, more: map[string]string{"result": "limited"},
		says: "The result is limited: limited means that the guard has restored guardConfig.restore.maxPerHour times within the hour, and failed means that the API server refused the restore. First: kubectl awsauth rollback --dry-run.",
	},
	{alert: "AwsAuthGuardNotRestored", series: map[string]string{`awsauth_guard_restores_total{result="restored"}`: "0x4 1x80"}, quiet: []string{"3m"}},

	{alert: "AwsAuthGuardRestoreNotReady", series: map[string]string{
		`awsauth_guard_restore_ready{instance="a"}`: "0x40",
		`awsauth_guard_restore_ready{instance="b"}`: "0x40",
	}, quiet: []string{"4m"}, fires: []string{"6m"}},
	{alert: "AwsAuthGuardRestoreNotReady", series: map[string]string{ // only the leader is ready to restore
		`awsauth_guard_restore_ready{instance="a"}`: "1x40",
		`awsauth_guard_restore_ready{instance="b"}`: "0x40",
	}, quiet: []string{"6m", "30m"}},

	{
		alert: "AwsAuthGuardRejections", series: map[string]string{
			`awsauth_guard_rejections_total{rule="emptied",operation="UPDATE",dry_run="false",instance="a"}`: "0x4 3x80",
			`awsauth_guard_rejections_total{rule="emptied",operation="UPDATE",dry_run="false",instance="b"}`: "0x4 3x80",
			`awsauth_guard_rejections_total{rule="deleted",operation="DELETE",dry_run="false",instance="a"}`: "0x4 5x80",
			`awsauth_guard_rejections_total{rule="deleted",operation="DELETE",dry_run="true",instance="a"}`:  "0x4 50x80",
		}, quiet: []string{"2m", "25m"}, fires: []string{"10m"}, more: map[string]string{"rule": "emptied"},
		says: "The rule emptied has refused 6 changes in 15 minutes. First look in the log, which names the user.",
	},

	{alert: "AwsAuthGuardPolicyDenials", series: map[string]string{scraped: "1x120", denied: "_x40 1x80"}, quiet: []string{"19m", "36m"}, fires: []string{"20m30s", "34m"}},
	{alert: "AwsAuthGuardPolicyDenials", series: map[string]string{scraped: "1x120", denied: "7x40 8x80"}, quiet: []string{"10m", "36m"}, fires: []string{"21m", "30m"}},
	{alert: "AwsAuthGuardPolicyDenials", series: map[string]string{scraped: "_x40 1x120", denied: "_x40 7x120"}, quiet: []string{"21m", "40m"}},
	{alert: "AwsAuthGuardPolicyDenials", series: map[string]string{
		scraped: "1x120",
		`apiserver_validating_admission_policy_check_total{policy="other",enforcement_action="deny",job="apiserver",instance="x"}`:                   "_x40 1x80",
		`apiserver_validating_admission_policy_check_total{policy="awsauth-guard-backstop",enforcement_action="allow",job="apiserver",instance="x"}`: "_x40 1x80",
	}, quiet: []string{"21m"}},

	{alert: "AwsAuthGuardBreakGlassLeft", series: map[string]string{`awsauth_guard_break_glass_present{instance="a"}`: "1x200", `awsauth_guard_break_glass_present{instance="b"}`: "0x200"}, quiet: []string{"59m"}, fires: []string{"61m"}},
	{alert: "AwsAuthGuardBreakGlassLeft", series: map[string]string{`awsauth_guard_break_glass_present`: "1x20 0x200"}, quiet: []string{"61m"}},

	{
		alert: "AwsAuthGuardPrincipalGone", series: map[string]string{
			`awsauth_guard_live_principals{iam="exists",instance="a"}`:    "9x80",
			`awsauth_guard_live_principals{iam="recreated",instance="a"}`: "0x4 2x80",
			`awsauth_guard_live_principals{iam="missing",instance="a"}`:   "0x80",
			`awsauth_guard_live_principals{iam="unknown",instance="a"}`:   "3x80",
		}, quiet: []string{"2m"}, fires: []string{"3m"}, more: map[string]string{"iam": "recreated"},
		says: "2 principals are recreated in IAM. The groups of such an entry belong to the role or user that now has its name, or to the next one that gets it. First look in the log of the leader, which names them.",
	},

	{
		alert: "AwsAuthGuardAccessEntryStale", series: map[string]string{
			`awsauth_guard_access_entries{state="ok",instance="a"}`:      "9x200",
			`awsauth_guard_access_entries{state="stale",instance="a"}`:   "0x4 2x200",
			`awsauth_guard_access_entries{state="missing",instance="a"}`: "0x200",
			`awsauth_guard_access_entries{state="unknown",instance="a"}`: "3x200",
		}, quiet: []string{"3m", "91m"}, fires: []string{"93m"}, more: map[string]string{"state": "stale"},
		says: "2 access entries are stale: no caller logs in by them, although EKS still shows them. Until the authentication mode is API, aws-auth may hide this. First look in the log of the leader, which names them.",
	},
	{
		alert: "AwsAuthGuardAccessEntryStale", series: map[string]string{
			`awsauth_guard_access_entries{state="stale"}`:   "0x240",
			`awsauth_guard_access_entries{state="missing"}`: "1x199 0x40",
		}, fires: []string{"91m"}, quiet: []string{"89m", "101m"}, more: map[string]string{"state": "missing"},
		says: "1 access entries are missing: no caller logs in by them, although EKS still shows them. Until the authentication mode is API, aws-auth may hide this. First look in the log of the leader, which names them.",
	},
	{alert: "AwsAuthGuardAccessEntryStale", series: map[string]string{ // IAM has the principal in the next hourly check
		`awsauth_guard_access_entries{state="missing"}`: "1x124 0x200",
	}, quiet: []string{"1m", "61m", "100m"}},
}
