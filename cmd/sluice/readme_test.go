package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReadmeWalk pastes the README's walks into a shell, against `sluice up`. It
// takes more than a minute, as the README says: an auction must close.
func TestReadmeWalk(t *testing.T) {
	page, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	steps := regexp.MustCompile("(?s)<!-- walk: a test runs it as it stands here -->\n```sh\n(.*?)```\n<!-- end of walk -->").FindAllStringSubmatch(string(page), -1)
	if len(steps) != 6 {
		t.Fatalf("the README has %d walks, not one to begin with, one per kind and one to wait", len(steps))
	}
	walk, rest := "", string(page)
	for _, step := range steps {
		walk += step[1]
		rest = strings.Replace(rest, step[1], "", 1)
	}
	if strings.Contains(rest, "\ncurl ") {
		t.Error("the README has a curl line outside of its walks, which nobody tests")
	}

	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	up := exec.Command(binary, "up", "--listen", address, "--log-level", "warn")
	up.Stderr = t.Output()
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = up.Process.Signal(syscall.SIGTERM)
		if err := up.Wait(); err != nil {
			t.Errorf("up: %v", err)
		}
	}()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		response, err := http.Get("http://" + address + "/v1/sales")
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("up does not answer: %v", err)
		}
	}

	const here = "http://localhost:8080"
	if !strings.Contains(walk, here) {
		t.Fatal("the walk does not say where it goes")
	}
	shell := exec.Command("bash")
	shell.Stdin = strings.NewReader(strings.ReplaceAll(walk, here, "http://"+address))
	out, err := shell.CombinedOutput()
	text := string(out)
	if err != nil {
		t.Errorf("%v", err)
	}
	for _, want := range []string{
		`"balance":5000`, `"sandbox":true`, // the top-up

		`"status":"held"`, `"pay_by":`, `"status":"waiting"`, `"position":1`, // a reservation, and its line
		`"verb":"reserve","sale":`, `"status":"paid"`, `"word":"promoted"`, `reserve,`, `cancelled,`, // orders, notices, CSV
		`"amount_off":200`, `"state":"usable"`, `"discount":200,"amount":400`, `"state":"used"`, // coupons
		`"verb":"join"`, `"status":"cancelled"`, `T19:00:00Z`, `"free":1,`, // a seat, and a change of slot

		`wait=20`, `"problems":[]`, "event: sale", "event: receipt", // waiting for the outcome

		`"state":"open"`, `"next_drop_at"`, // the auction
		`"status":"confirmed"`, `"quantity":2`, // the bid
		`"sold":2`, `"revenue":`, // the summary
		`"verb":"refund"`, `"status":"refunded"`, // the refund
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the walks do not show %s", want)
		}
	}
	if ids := regexp.MustCompile(`(?m)^[0-9a-f-]{36}$`).FindAllString(text, -1); len(ids) != 2 || ids[0] != ids[1] {
		t.Errorf("a bid sent twice has the receipts %q", ids)
	}
	// Ben has 5,000 points and a chair for 500; the bid has left him fewer, the refund brings them back.
	if wallets := regexp.MustCompile(`(?m)^\{"balance":(\d+)`).FindAllStringSubmatch(text, -1); len(wallets) != 2 || wallets[0][1] == "4500" || wallets[1][1] != "4500" {
		t.Errorf("the wallet before and after the refund: %q", wallets)
	}
	if strings.Contains(text, `"code":`) {
		t.Error("there is a problem on the way")
	}
	if t.Failed() {
		t.Logf("the shell said:\n%s", text)
	}
}
