package httpapi

import (
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// bought gives a sale n confirmed bids of one unit each, the first in the first
// millisecond of 2030 and each a second later, as if they had been settled.
func (h *house) bought(s sale.Sale, buyer int64, n int) {
	h.t.Helper()
	query[int](h, `
		with made as (
			insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, fingerprint, seq, at)
			select gen_random_uuid(), $1, $2, 'bid', 1, 1000, 'confirmed', 0, i, '2030-01-01T00:00:00Z'::timestamptz + i * interval '1 s'
			from generate_series(0, $3 - 1) i
			returning 1)
		select count(*) from made`, s.ID, buyer, n)
}

// TestExport: the CSV has every receipt once, over all pages, in the form that RFC
// 4180 gives it.
func TestExport(t *testing.T) {
	t.Parallel()
	h := open(t)
	seller, buyer := h.person(accounts.Seller), h.person(accounts.Buyer)
	s := h.sale(-time.Second, time.Hour, of(seller.Account))
	path := fmt.Sprintf("/v1/sales/%d/receipts", s.ID)
	export := func(query string) [][]string {
		t.Helper()
		r := h.ask("GET", path+query, seller.Access, "", "Accept: text/csv")
		if r.status != 200 || r.header.Get("Content-Type") != "text/csv; charset=utf-8; header=present" || r.header.Get("Vary") != "Accept" ||
			r.header.Get("Content-Disposition") != fmt.Sprintf(`attachment; filename="receipts-%d.csv"`, s.ID) {
			t.Fatalf("%d %v %.200s", r.status, r.header, r.raw)
		}
		if strings.Count(r.raw, "\r\n") != strings.Count(r.raw, "\n") || !strings.HasSuffix(r.raw, "\r\n") {
			t.Errorf("lines of %.200q", r.raw)
		}
		rows, err := csv.NewReader(strings.NewReader(r.raw)).ReadAll()
		if err != nil || len(rows) == 0 || !slices.Equal(rows[0], exportColumns) {
			t.Fatalf("%v, %v", rows, err)
		}
		return rows[1:]
	}
	if rows := export(""); len(rows) != 0 {
		t.Errorf("%v", rows)
	}
	const n = 2*csvPage + csvPage/2
	h.bought(s, buyer.Account, n)
	rows, seen := export(""), map[string]bool{}
	for i, row := range rows {
		seen[row[0]] = true
		want := []string{row[0], "bid", fmt.Sprint(buyer.Account), "confirmed", "", "1", "1000", "0", "1000", "", "", "",
			time.Date(2030, 1, 1, 0, 0, n-1-i, 0, time.UTC).Format(time.RFC3339), ""}
		if !slices.Equal(row, want) {
			t.Fatalf("row %d is %v, not %v", i, row, want)
		}
	}
	if len(seen) != n || len(rows) != n {
		t.Errorf("%d receipts in %d rows", len(seen), len(rows))
	}
	if rows := export("?from=2030-01-01T00:00:10Z&to=2030-01-01T00:00:13Z"); len(rows) != 3 || rows[2][12] != "2030-01-01T00:00:10Z" {
		t.Errorf("%v", rows)
	}
	if rows := export("?status=refunded"); len(rows) != 0 {
		t.Errorf("%v", rows)
	}
	for _, query := range []string{"limit=5", "cursor=x", "x=1", "status=queued"} {
		h.ask("GET", path+"?"+query, seller.Access, "", "Accept: text/csv").wantProblem(t, 400, "bad_query")
	}
	for accept, is := range map[string]bool{
		"": false, "*/*": false, "text/*": false, "application/json": false, "text/csv": true, "TEXT/CSV": true, "text/csv; header=present": true,
		"application/json, text/csv;q=0.9": false, "text/csv, application/json;q=0.5": true, "text/csv;q=0": false, "text/html,text/csv,*/*;q=0.1": true,
		"text/csv;q=x": false, "image/png": false, ",;,=": false,
	} {
		r := h.ask("GET", path, seller.Access, "", "Accept: "+accept)
		if got := strings.HasPrefix(r.header.Get("Content-Type"), "text/csv"); r.status != 200 || got != is {
			t.Errorf("%q: CSV %t, %d", accept, got, r.status)
		}
		head := h.ask("HEAD", path, seller.Access, "", "Accept: "+accept)
		if got := strings.HasPrefix(head.header.Get("Content-Type"), "text/csv"); head.status != 200 || got != is || head.raw != "" {
			t.Errorf("HEAD %q: CSV %t, %d", accept, got, head.status)
		}
	}
}

// TestExportCutShort: a list that cannot be read to its end does not look as if it
// had been, and one that nobody takes ends.
func TestExportCutShort(t *testing.T) {
	t.Parallel()
	h := open(t, func(o *Options) { o.WriteTimeout = 2 * time.Second })
	seller, buyer := h.person(accounts.Seller), h.person(accounts.Buyer)
	s := h.sale(-time.Second, time.Hour, of(seller.Account))
	h.bought(s, buyer.Account, 100_000) // more than the buffers on the way take
	begin := func() (net.Conn, *http.Response) {
		conn, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		request, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://%s/v1/sales/%d/receipts", h.addr, s.ID), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+seller.Access)
		request.Header.Set("Accept", "text/csv")
		transport := &http.Transport{DialContext: dialed(conn)}
		answer, err := transport.RoundTrip(request)
		if err != nil || answer.StatusCode != 200 {
			t.Fatalf("%v, %v", answer, err)
		}
		return conn, answer
	}
	before := h.api.app.Server().GetOpenConnectionsCount()
	gone, _ := begin() // he reads nothing, and leaves
	gone.Close()
	_, sleeps := begin() // he reads nothing, and stays
	_, cut := begin()
	if _, err := io.ReadFull(cut.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	h.ledger.Close()
	if _, err := io.Copy(io.Discard, cut.Body); err == nil {
		t.Error("it looks whole")
	}
	h.until("it is noted", func() bool { return strings.Contains(h.log.String(), "cut short") })
	h.until("nobody is waited for any more", func() bool { return h.api.app.Server().GetOpenConnectionsCount() <= before })
	if _, err := io.Copy(io.Discard, sleeps.Body); err == nil {
		t.Error("who sleeps holds it for ever")
	}
}
