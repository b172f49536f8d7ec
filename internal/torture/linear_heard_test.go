package torture

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"sluice/client"
)

// TestWhatIsAskedIsHeard: the model is told what really goes over the wire, for each
// verb, and the request is sent as it was.
func TestWhatIsAskedIsHeard(t *testing.T) {
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		body = string(text)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"receipt":"r","status":"queued"}`)
	}))
	defer server.Close()
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{}
	api, err := client.New("http://any", client.WithToken("t"),
		client.WithHTTPClient(&http.Client{Transport: anyAPI{hears: c.hear, loses: c.lose, hosts: []string{at.Host}, next: &http.Transport{}}}))
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	later := time.UnixMilli(base)
	for verb, test := range map[string]struct {
		ask  func(context.Context, client.CallOption) error
		want Asked
		body bool
	}{
		"bid": {func(ctx context.Context, key client.CallOption) error {
			_, err := api.Bid(ctx, 7, client.Bid{Quantity: 2, Price: 30, Exact: true, Coupon: "c"}, key)
			return err
		}, Asked{Quantity: 2, Price: 30, Exact: true, Coupon: "c"}, true},
		"reserve": {func(ctx context.Context, key client.CallOption) error {
			_, err := api.Reserve(ctx, 7, client.Reserve{Quantity: 2, Coupon: "c"}, key)
			return err
		}, Asked{Quantity: 2, Coupon: "c"}, true},
		"join": {func(ctx context.Context, key client.CallOption) error {
			_, err := api.Join(ctx, 7, 3, key)
			return err
		}, Asked{Quantity: 3}, true},
		"claim": {func(ctx context.Context, key client.CallOption) error {
			_, err := api.Claim(ctx, 7, key)
			return err
		}, Asked{Quantity: 1}, false},
		"pay": {func(ctx context.Context, key client.CallOption) error {
			_, err := api.Pay(ctx, "target", key)
			return err
		}, Asked{Target: "target"}, false},
		"cancel": {func(ctx context.Context, key client.CallOption) error {
			_, err := api.Cancel(ctx, "target", key)
			return err
		}, Asked{Target: "target"}, false},
		"refund": {func(ctx context.Context, key client.CallOption) error {
			_, err := api.Refund(ctx, "target", key)
			return err
		}, Asked{Target: "target"}, false},
		"book": {func(ctx context.Context, key client.CallOption) error {
			_, err := api.ReserveSlot(ctx, 9, later, key)
			return err
		}, Asked{Quantity: 1}, true},
		"change of slot": {func(ctx context.Context, key client.CallOption) error {
			_, err := api.ChangeSlot(ctx, "target", later, key)
			return err
		}, Asked{Quantity: 1, Target: "target"}, true},
		"grow": {func(ctx context.Context, key client.CallOption) error {
			_, err := api.GrowStock(ctx, 7, 5, key)
			return err
		}, Asked{Quantity: 5}, true},
		"extend": {func(ctx context.Context, key client.CallOption) error {
			_, err := api.ExtendSale(ctx, 7, later, key)
			return err
		}, Asked{ClosesAtMS: base}, true},
	} {
		body = ""
		if err := test.ask(t.Context(), client.WithKey(verb[:3]+"-key")); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
		heard, _ := c.said.LoadAndDelete(verb[:3] + "-key")
		if heard != test.want || (body != "") != test.body {
			t.Errorf("%s: heard %+v, want %+v; sent %q", verb, heard, test.want, body)
		}
	}
}
