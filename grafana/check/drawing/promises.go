package drawing

// The objective (99.5 % of verdicts within a second, over 30 days) is computed in one
// place, grafana/prometheus/rules.yml, for alerts and boards alike.
const objective = 0.995

// within is the share of verdicts that came within a second, in a window that the rules
// know; burn is how many times faster than allowed that uses up the budget.
func within(window string) string { return "1 - sluice:verdicts_late:ratio" + window }
func burn(window string) string   { return "sluice:verdicts_late:ratio" + window + " / 0.005" }

// leading is a gauge of the audit as the scheduler that leads tells it: who led before
// remembers what he found then.
func leading(gauge string) string {
	return gauge + "{@} and on (job, instance) sluice_scheduler_leads{@} == 1"
}

func drawPromises() board {
	return board{
		uid: promises, title: titles[promises], from: "now-6h", refresh: "30s",
		about: "Is what we promise true? Every figure here should be zero, or green. The audit reads Redis, Postgres and the log at equal watermarks, all the time.",
		rows: []row{
			{"All of it should be green", []*panel{
				stat("Oversold", "Units sold or held beyond the stock, of all sales. 0, always. Else the sale is suspended by itself: do not resume before you know why.", "none",
					`max(`+leading("sluice_audit_oversold_units")+`)`).bad(1).runbook("SluiceAuditBroken"),
				stat("Out of order", "Requests that were turned away though units were free at their turn. 0, always.", "none",
					`max(`+leading("sluice_audit_inversions")+`)`).bad(1).runbook("SluiceAuditBroken"),
				stat("Points out of balance", "Points that wallets and ledger differ by. 0, always.", "none",
					`max(abs(`+leading("sluice_audit_points_imbalance")+`))`).bad(1).runbook("SluiceAuditBroken"),
				stat("Sales suspended", "Sales that the audit found broken twice, or an operator stopped. 0 is well; sluice sales list names them.", "none",
					`max(sluice_sales_suspended{@})`).bad(1).runbook("SluiceSaleSuspended"),
				stat("Since the last audit", "Seconds since a round compared all it should. A minute is well; an old audit proves nothing: see the rounds below.", "s",
					`time() - (max(sluice_audit_finished_timestamp_seconds{@}) > 0)`).warn(120).bad(300).runbook("SluiceAuditStale"),
				alertsFiring(),
			}},
			{"Verdicts within a second: 99.5 % in 30 days", []*panel{
				stat("Error budget left", "Of the slow verdicts that 30 days may have. 100 %: none was slow; below 0 the promise is broken: no risky change until it recovers.", "percentunit",
					`sluice:verdict_budget:remaining30d`).size(4, 8).upTo(1).good(0.25).warn(0).runbook("SluiceVerdictSLOBurnSlow"),
				lines("Verdicts within a second", "Share of them, over five minutes and an hour. Above the line is well.", "percentunit",
					q(within("5m"), "5 minutes"), q(within("1h"), "1 hour")).size(10, 8).upTo(1).good(objective).runbook("SluiceVerdictSLOBurnFast").see(saleFloor),
				lines("How fast the budget burns", "1 uses it up in 30 days. 14.4 for an hour pages, 6 for six hours too: look for the slow phase on Pipeline.", "none",
					q(burn("5m"), "5 minutes"), q(burn("1h"), "1 hour"), q(burn("6h"), "6 hours")).size(10, 8).warn(6).bad(14.4).runbook("SluiceVerdictSLOBurnFast").see(pipeline),
			}},
			{"Every accepted request ends", []*panel{
				lines("Age of the oldest undecided request", "Near 0 is well. Whatever dies, it comes back to 0; if it does not, follow it on Pipeline.", "s",
					q(`max(sluice_partition_oldest_seconds{@})`, "oldest")).bad(10).runbook("SluiceOldestRequest").see(pipeline),
				lines("Undecided requests", "Of all partitions. It goes to 0 between crowds.", "short",
					q(`sum(max by (partition) (sluice_partition_depth{@}))`, "queued")).see(pipeline),
				lines("Lost, or given up", "Requests that Redis lost before they were settled (they were told so), and dead letters. 0 is well.", "short",
					q(`sum(increase(sluice_settled_total{@, reason="lost"}[@])) or vector(0)`, "lost"),
					q(`max(sluice_dead_letters{@})`, "dead letters")).runbook("SluiceRequestsLost"),
			}},
			{"The audit", []*panel{
				lines("Broken rules", "Findings of the last round by rule. 0 for all is well; sluice audit tells each in words.", "none",
					q(`max by (rule) (`+leading("sluice_audit_breaches")+`)`, "{{rule}}")).inSteps().bad(1).runbook("SluiceAuditBroken"),
				lines("Rounds", "ok is well; busy: the partitions did not hold still, it comes again; failed: a store did not answer; broken: see the left.", "ops",
					q(`sum by (verdict) (rate(sluice_audit_rounds_total{@}[@]))`, "{{verdict}}")).runbook("SluiceAuditStale"),
				percentiles("Time of a round", "A round is cheap and incremental: growing with every round it is not.",
					`sluice_audit_round_seconds_bucket{@}`, "50", "99").runbook("SluiceAuditStale"),
			}},
			{"What buyers were told", []*panel{
				heatmap("How wrong eta_ms was", "Spread of the misses. Dark low down is well.", "s", `sluice_eta_error_seconds_bucket{@}`),
				percentiles("How wrong eta_ms was, percentiles", "A forecast within a second or two is well: a buyer plans by it.",
					`sluice_eta_error_seconds_bucket{@}`, "50", "90", "99").runbook("SluiceETAWrong"),
				lines("Too early, too late", "Forecasts per second that promised too early (late for the buyer), or too late. Far more of the first: the drain slows down.", "ops",
					q(`sum(rate(sluice_eta_late_total{@}[@])) or vector(0)`, "settled later"),
					q(`sum(rate(sluice_eta_early_total{@}[@])) or vector(0)`, "settled earlier")).runbook("SluiceETAWrong"),
			}},
			{"At its time", []*panel{
				lines("Overdue", "How late the oldest duty is that is due and not queued: opening, closing, expiry, payout. Near 0 is well.", "s",
					q(`max(sluice_duties_overdue_seconds{@})`, "overdue")).bad(10).runbook("SluiceDutiesLate"),
				percentiles("How late ticks were", "Outcomes are judged by the stream's clock whether ticks are late or not; late ones delay promotions and payouts.",
					`sluice_tick_lateness_seconds_bucket{@}`, "50", "99").runbook("SluiceDutiesLate"),
				lines("Reminders and notices of time", "What people were told since its time came. Rare; none on a day with events: does a scheduler lead?", "ops",
					q(`sum(rate(sluice_reminders_total{@}[@])) or vector(0)`, "all"),
					q(`sum by (word) (rate(sluice_reminders_total{@}[@]))`, "{{word}}")).runbook("SluiceNoSchedulerLead"),
			}},
			{"What survives a crash", []*panel{
				states("Redis keeps what it has", "All green: a crash of Redis costs a second of queued requests at most, and never a settled one. AOF off: all queued requests.", "yes", "no",
					q(`min(sluice_redis_aof_enabled{@})`, "append-only file"),
					q(`min by (kind) (sluice_redis_persistence_ok{@})`, "{{kind}} on disk"),
					q(`min(sluice_redis_noeviction{@})`, "never evicts")).size(12, 7).runbook("SluiceRedisNotDurable"),
				lines("Keys that Redis threw away", "0, always: an evicted key may be a sale's stock. Set maxmemory-policy noeviction and rebuild from Postgres.", "short",
					q(`max(increase(sluice_redis_evicted_keys_total{@}[1h]))`, "in the hour before")).size(12, 7).bad(1).runbook("SluiceRedisEviction"),
			}},
		},
	}
}
