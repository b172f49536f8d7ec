package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/golang-jwt/jwt/v5"

	"sluice/internal/embedded/embeddedtest"
)

// TestMain runs the tests; or, in a child that they start, the program.
func TestMain(m *testing.M) {
	if os.Getenv("RIVALS_TEST_AS_PROGRAM") != "" {
		main()
		return
	}
	embeddedtest.Main(m)
}

const (
	testSecret = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk!" // no base64
	testKeys   = "other:oooooooooooooooooooooooooooooooooooooooooooooooo,test:" + testSecret

	patience = 2 * time.Minute // with anything that has to happen
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// token is one of a buyer, as Sluice would sign it.
func token(t testing.TB, buyer int64) string {
	t.Helper()
	made := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"role": "buyer", "iss": "sluice", "sub": fmt.Sprint(buyer), "exp": time.Now().Add(time.Hour).Unix(),
	})
	made.Header["kid"] = "test"
	signed, err := made.SignedString([]byte(testSecret))
	must(t, err)
	return signed
}

// start serves app until the test ends, and answers its URL.
func start(t testing.TB, app *fiber.App) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- serveOn(ctx, app, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

// answer is what came back, all of it.
type answer struct {
	status int
	header http.Header
	body   string
}

// caller keeps its connections, as the generator does, until the test ends.
func caller(t testing.TB) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 300}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// ask sends a request. It may be called from any goroutine.
func ask(client *http.Client, method, url, token, key, body string) (answer, error) {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	response, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text)}, err
}

const oneUnit = `{"quantity":1,"price":10}`
