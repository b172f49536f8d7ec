package drawing

// buyers are the verbs of people, unlike time's own ticks.
const buyers = `verb=~"bid|reserve|claim|join|pay|cancel|refund|change"`

// ours are the answers at the door for which a buyer can do nothing: there is no room, or
// a store failed. The others are the sale's own business.
const ours = `answer=~"overloaded|loading|fault"`

func drawSaleFloor() board {
	return board{
		uid: saleFloor, title: titles[saleFloor], from: "now-15m", refresh: "5s", sales: true,
		about: "Is the sale well? What sells, how fast stock and price fall, who asks, and how long a verdict takes.",
		rows: []row{
			{"At a glance", []*panel{
				alertsFiring(),
				stat("Open sales", "Sales that sell now. Fewer than you planned: look whether they opened, on Pipeline, row Scheduler.", "none",
					`max(sluice_sales_open{@})`).see(pipeline),
				stat("Accepted", "Requests per second that got a receipt. It follows the crowd; 0 while sales are open and people ask is bad.", "reqps",
					`sum(rate(sluice_admissions_total{@, answer="queued"}[@]))`),
				stat("Turned away for load", "Share of those who might have been let in that were refused: a queue is full, a partition is loading or a store failed. 0 is well; else buyers are told to come again: see Pipeline.", "percentunit",
					`(sum(rate(sluice_admissions_total{@, `+ours+`}[@])) or 0 * sum(rate(sluice_admissions_total{@}[@]))) / clamp_min(sum(rate(sluice_admissions_total{@, answer=~"queued|known|overloaded|loading|fault"}[@])), 1e-9)`).
					warn(0.01).bad(0.05).runbook("SluiceShedding").see(pipeline),
				stat("Verdict, p99", "99 of 100 buyers knew their outcome after so long. Below 1 s is what we promise; above it look for the slow phase on Pipeline.", "s",
					`histogram_quantile(0.99, sum by (le) (rate(sluice_verdict_seconds_bucket{@}[@]))) >= 0`).
					warn(0.5).bad(1).runbook("SluiceVerdictSLOBurnFast").see(pipeline),
				stat("Oldest request", "How long the oldest undecided request has waited. Near 0 is well; growing means that a partition stands still.", "s",
					`max(sluice_partition_oldest_seconds{@})`).
					warn(1).bad(10).runbook("SluiceOldestRequest").see(pipeline),
			}},
			{"What is selling", []*panel{
				lines("Units left", "Free stock of the busiest sales. It runs down; flat while requests are accepted means that nothing is decided.", "short",
					q(`max by (kind, sale) (sluice_sale_units{@, sale=~"$sale", state="free"})`, "{{kind}} {{sale}}")).size(12, 8),
				lines("Price now", "Points per unit. An auction's price falls in steps and never rises; a rise would be a broken promise: stop the sale.", "suffix: points",
					q(`max by (kind, sale) (sluice_sale_price_points{@, sale=~"$sale"})`, "{{kind}} {{sale}}")).size(12, 8).inSteps().see(promises),
				share("Sold, of the stock", "How much of its stock a sale has sold. 100 % is sold out; held units are not sold yet.",
					q(`max by (kind, sale) (sluice_sale_units{@, sale=~"$sale", state="sold"}) / (sum by (kind, sale) (max by (kind, sale, state) (sluice_sale_units{@, sale=~"$sale"})) > 0)`, "{{kind}} {{sale}}")),
				lines("Held, to be paid for", "Units kept for somebody until he pays or his time is up. It falls by itself; if it never does, holds do not expire: see Pipeline, row Scheduler.", "short",
					q(`max by (kind, sale) (sluice_sale_units{@, sale=~"$sale", state="held"})`, "{{kind}} {{sale}}")).runbook("SluiceDutiesLate"),
				lines("In the waiting line", "Requests that wait for a unit to come back. A line is well as long as what is freed goes to it: free units beside a line are not.", "short",
					q(`max by (kind, sale) (sluice_sale_waiting{@, sale=~"$sale"})`, "{{kind}} {{sale}}")),
			}},
			{"The crowd", []*panel{
				lines("At the door", "Requests by what they were told: queued is a receipt, sold_out and the like are the sale's own business, overloaded and loading are ours.", "reqps",
					q(`sum by (answer) (rate(sluice_admissions_total{@}[@]))`, "{{answer}}")).size(12, 8).runbook("SluiceShedding"),
				lines("Outcomes", "What was decided, by status. It follows what is queued at the door; a gap between them is the queue.", "reqps",
					q(`sum by (status) (rate(sluice_settled_total{@, `+buyers+`}[@]))`, "{{status}}")).size(12, 8),
				lines("Why requests were rejected", "Rejections by reason. sold_out, price_changed, line_full are a busy sale; internal and lost never are: look at the dead letters.", "reqps",
					q(`sum(rate(sluice_settled_total{@, status="rejected"}[@])) or vector(0)`, "all"),
					q(`sum by (reason) (rate(sluice_settled_total{@, status="rejected"}[@]))`, "{{reason}}")).size(12, 8).runbook("SluiceDeadLetters"),
				lines("What became of receipts later", "Holds paid or expired, people promoted from the line, cancels, refunds. Many that expire: is payment slow?", "ops",
					q(`sum(rate(sluice_moves_total{@}[@])) or vector(0)`, "all"),
					q(`sum by (from, to) (rate(sluice_moves_total{@}[@]))`, "{{from}} → {{to}}")).size(12, 8),
			}},
			{"The verdict", []*panel{
				heatmap("Time to the verdict", "From a request's place in the stream to its visible outcome. One dark band low down is well; a second band above is a partition with trouble.", "s",
					`sluice_verdict_seconds_bucket{@}`).size(12, 9).see(pipeline),
				percentiles("Time to the verdict, percentiles", "The same in figures. p99 below the line of 1 s is the promise.",
					`sluice_verdict_seconds_bucket{@}`, "50", "90", "99").size(12, 9).bad(1).runbook("SluiceVerdictSLOBurnFast").see(promises),
			}},
			{"Who waits", []*panel{
				lines("Clients that wait", "Held answers and event streams. They come with a sale and go with it; how many places are left is on Pipeline, row HTTP.", "short",
					q(`sum by (how) (sluice_waiters{@})`, "{{how}}")).see(pipeline),
				lines("Receipt polls, of those invited", "Questions after receipts, as a share of what all API processes invite (SLUICE_POLL_BUDGET). Above 100 % clients do not heed poll_after_ms.", "percentunit",
					q(`(sum(rate(sluice_http_requests_total{@, method="GET", route=~"/v1/receipts.*"}[@])) or vector(0)) / sum(sluice_poll_budget{@})`, "polls")).warn(1),
				percentiles("How wrong eta_ms was", "By how much the forecast of a wait missed. Below a second is well; much more means that the drain jumps about: see Pipeline.",
					`sluice_eta_error_seconds_bucket{@}`, "50", "90").runbook("SluiceETAWrong").see(promises),
			}},
		},
	}
}
