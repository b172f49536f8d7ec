package process

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/logs"
)

// TestRequestCanBeFollowed: by its request ID, from the line of its POST to the line of
// its settlement, which name receipt, sale and partition alike; and by its receipt, to
// what was asked about it later.
func TestRequestCanBeFollowed(t *testing.T) {
	defer logs.SetLevel(logs.Level())
	logs.SetLevel(zerolog.DebugLevel) // nothing is sampled
	var log page
	api, _, stop := serving(t, config(t, embeddedtest.Redis(t), embeddedtest.Postgres(t)), zerolog.New(&log))
	signUp := func(name, role string) string {
		return word(api.wants(201, "", "POST", "/v1/auth/signup", "", fmt.Sprintf(`{"email":"%s@mail.example.org","password":"horse-battery","role":%q}`, name, role)), "access_token")
	}
	sam, ann := signUp("sam", "seller"), signUp("ann", "buyer")
	opens := time.Now().Add(2 * time.Second).UTC().Truncate(time.Second)
	offer := api.wants(201, "", "POST", "/v1/sales", sam, fmt.Sprintf(`{"kind":"reservation","title":"Chair","stock":3,"limit":3,"unit_price":5,"hold":60,"opens_at":%q,"closes_at":%q}`,
		opens.Format(time.RFC3339), opens.Add(time.Hour).Format(time.RFC3339)))
	var made, off map[string]any
	await(t, "the sale opens", func() bool {
		var status int
		status, made = api.ask("POST", fmt.Sprintf("/v1/sales/%.0f/reservations", offer["sale"]), ann, `{"quantity":1}`, "X-Request-ID: the-chair")
		return status == http.StatusAccepted
	})
	ends := func(receipt, as string) {
		await(t, receipt+" is "+as, func() bool {
			_, answer := api.ask("GET", "/v1/receipts/"+receipt, ann, "")
			return word(answer, "status") == as
		})
	}
	ends(word(made, "receipt"), "held")
	off = api.wants(202, "", "POST", "/v1/receipts/"+word(made, "receipt")+"/cancel", ann, "", "X-Request-ID: no-chair")
	ends(word(off, "receipt"), "confirmed")
	stop()

	found := map[string]map[string]any{} // by request ID, and what is said
	for _, line := range strings.Split(strings.TrimSpace(log.String()), "\n") {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		if fields["status"] == float64(http.StatusConflict) { // it was not open yet
			continue
		}
		found[fmt.Sprint(fields["request_id"], " ", fields["message"])] = fields
	}
	for id, receipt := range map[string]any{"the-chair": made["receipt"], "no-chair": off["receipt"]} {
		request, settled := found[id+" request"], found[id+" settled"]
		if request == nil || settled == nil || receipt == nil {
			t.Fatalf("%s (receipt %v) cannot be followed:\n%s", id, receipt, &log)
		}
		for _, name := range []string{"receipt", "partition"} {
			if request[name] == nil || request[name] != settled[name] {
				t.Errorf("%s: %s is %v by HTTP and %v when it is settled", id, name, request[name], settled[name])
			}
		}
		if request["receipt"] != receipt {
			t.Errorf("%s: receipt %v, want %v", id, request["receipt"], receipt)
		}
		if settled["sale"] != offer["sale"] {
			t.Errorf("%s: sale %v, want %v", id, settled["sale"], offer["sale"])
		}
	}
	if got := found["the-chair request"]["sale"]; got != offer["sale"] {
		t.Errorf("sale %v by HTTP, want %v", got, offer["sale"])
	}
	if got := found["no-chair request"]["target"]; got != made["receipt"] {
		t.Errorf("target %v, want %v", got, made["receipt"])
	}
	// What else there is to tell, in the life of a process.
	text := log.String()
	for _, message := range []string{"partition opened anew in Redis", "partition taken", "partition handed over", "lead taken", "lead given back",
		"news flow", "API takes no more requests", "API stopped: every request under way is answered", "consumer stopped", "scheduler stopped"} {
		if !strings.Contains(text, `"message":"`+message+`"`) {
			t.Errorf("the log does not say %q", message)
		}
	}
	if strings.Contains(text, `"level":"warn"`) || strings.Contains(text, `"level":"error"`) {
		t.Errorf("a quiet life has warnings:\n%s", text)
	}
}
