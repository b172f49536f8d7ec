package httpapi

import (
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// walker answers whom a peer speaks for, by X-Forwarded-For.
type walker func(p proxies, peer netip.Addr, forwarded [][]byte) netip.Addr

// faults names every case of the table that walk gets wrong.
func (walk walker) faults(t *testing.T) (wrong []string) {
	t.Helper()
	trusted, err := ParseProxies("10.0.0.0/8, 192.0.2.1, 2001:db8::/32")
	if err != nil {
		t.Fatal(err)
	}
	const proxy = "10.0.0.1"
	for name, c := range map[string]struct {
		peer, want string
		headers    []string
	}{
		"nobody speaks for anybody":       {"203.0.113.9", "203.0.113.9", nil},
		"a liar":                          {"203.0.113.9", "203.0.113.9", []string{"198.51.100.7"}},
		"a liar who says that we believe": {"203.0.113.9", "203.0.113.9", []string{"198.51.100.7, 10.0.0.2"}},
		"a proxy for itself":              {proxy, proxy, nil},
		"a proxy":                         {proxy, "198.51.100.7", []string{"198.51.100.7"}},
		"a client who writes a hop":       {proxy, "198.51.100.7", []string{"1.1.1.1, 198.51.100.7"}},
		"a client who writes ours":        {proxy, "198.51.100.7", []string{"10.0.0.9, 198.51.100.7"}},
		"two proxies":                     {proxy, "198.51.100.7", []string{"198.51.100.7, 192.0.2.1"}},
		"three, of both kinds":            {"2001:db8::5", "198.51.100.7", []string{"8.8.8.8,198.51.100.7,10.1.1.1,192.0.2.1"}},
		"two headers are one list":        {proxy, "198.51.100.7", []string{"198.51.100.7", "192.0.2.1"}},
		"a client's header comes first":   {proxy, "198.51.100.7", []string{"1.1.1.1", "198.51.100.7"}},
		"an address beside a trusted one": {proxy, "192.0.2.2", []string{"198.51.100.7, 192.0.2.2"}},
		"all are ours":                    {proxy, "10.0.0.3", []string{"10.0.0.3, 10.0.0.2"}},
		"no blanks":                       {proxy, "198.51.100.7", []string{"198.51.100.7,10.0.0.2"}},
		"many blanks":                     {proxy, "198.51.100.7", []string{" \t 198.51.100.7 \t ,   10.0.0.2  "}},
		"a port":                          {proxy, "198.51.100.7", []string{"198.51.100.7:4711"}},
		"IPv6":                            {proxy, "2a00::7", []string{"2a00::7"}},
		"IPv6 with a port":                {proxy, "2a00::7", []string{"[2a00:0:0::7]:4711"}},
		"IPv4 in IPv6":                    {proxy, "198.51.100.7", []string{"::ffff:198.51.100.7"}},
		"a trusted one in IPv6":           {proxy, "198.51.100.7", []string{"198.51.100.7, ::ffff:10.0.0.2"}},
		"a word":                          {proxy, proxy, []string{"unknown"}},
		"a word before a proxy":           {proxy, "10.0.0.2", []string{"198.51.100.7, unknown, 10.0.0.2"}},
		"a word that is not looked at":    {proxy, "198.51.100.7", []string{"_hidden, 198.51.100.7"}},
		"nothing":                         {proxy, proxy, []string{""}},
		"a comma":                         {proxy, proxy, []string{","}},
		"a comma at the end":              {proxy, proxy, []string{"198.51.100.7,"}},
		"a hole":                          {proxy, "10.0.0.2", []string{"198.51.100.7,,10.0.0.2"}},
		"an empty header after":           {proxy, proxy, []string{"198.51.100.7", ""}},
		"a zone":                          {proxy, proxy, []string{"fe80::1%eth0"}},
		"leading zeros":                   {proxy, proxy, []string{"198.051.100.007"}},
		"three numbers":                   {proxy, proxy, []string{"198.51.100"}},
		"one number":                      {proxy, proxy, []string{"3323126791"}},
		"a port that is none":             {proxy, proxy, []string{"198.51.100.7:99999"}},
		"half a bracket":                  {proxy, proxy, []string{"[2a00::7"}},
		"quoted, as in Forwarded":         {proxy, proxy, []string{`"[2a00::7]:4711"`}},
		"a form of Forwarded":             {proxy, proxy, []string{"for=198.51.100.7"}},
		"a prefix":                        {proxy, proxy, []string{"198.51.100.0/24"}},
		"a novel":                         {proxy, proxy, []string{strings.Repeat("1", 5000)}},
		"NUL":                             {proxy, proxy, []string{"198.51.100.7\x00"}},
	} {
		var headers [][]byte
		for _, h := range c.headers {
			headers = append(headers, []byte(h))
		}
		if got := walk(trusted, netip.MustParseAddr(c.peer), headers); got.String() != c.want {
			wrong = append(wrong, fmt.Sprintf("%s: %s, want %s", name, got, c.want))
		}
	}
	return wrong
}

func TestClientBehindProxies(t *testing.T) {
	t.Parallel()
	for _, fault := range walker(proxies.client).faults(t) {
		t.Error(fault)
	}
}

// TestWrongWalksAreCaught are the known-bad twins: what is commonly done instead.
func TestWrongWalksAreCaught(t *testing.T) {
	t.Parallel()
	for name, walk := range map[string]walker{
		"the first is the client": func(p proxies, peer netip.Addr, forwarded [][]byte) netip.Addr {
			if p.trust(peer) && len(forwarded) > 0 {
				first, _, _ := bytes.Cut(forwarded[0], []byte(","))
				if a, ok := parseHop(first); ok {
					return a
				}
			}
			return peer
		},
		"anybody is believed": func(p proxies, peer netip.Addr, forwarded [][]byte) netip.Addr {
			return append(p, netip.PrefixFrom(peer, peer.BitLen())).client(peer, forwarded)
		},
		"what cannot be read is passed over": func(p proxies, peer netip.Addr, forwarded [][]byte) netip.Addr {
			for _, hop := range slices.Backward(bytes.Split(bytes.Join(forwarded, []byte(",")), []byte(","))) {
				if a, ok := parseHop(hop); ok && p.trust(peer) {
					peer = a
				}
			}
			return peer
		},
		"the last header only": func(p proxies, peer netip.Addr, forwarded [][]byte) netip.Addr {
			return p.client(peer, forwarded[max(0, len(forwarded)-1):])
		},
	} {
		if len(walk.faults(t)) == 0 {
			t.Errorf("%s: nothing is found", name)
		}
	}
}

func TestParseProxies(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "[]", "  ": "[]", "10.0.0.0/8": "[10.0.0.0/8]", "10.1.2.3/8": "[10.0.0.0/8]", "192.0.2.1": "[192.0.2.1/32]",
		" ::1 , 127.0.0.1/32": "[::1/128 127.0.0.1/32]", "2001:db8::/32": "[2001:db8::/32]",
		",": "", "10.0.0.0/8,": "", "proxy": "", "10.0.0.0/33": "", "0.0.0.0/0": "", "::/0": "", "::ffff:10.0.0.1": "", "::ffff:10.0.0.0/104": "",
		"fe80::1%eth0": "", "10.0.0.1:80": "", "10.0.0.0/8;::1": "", "*": "",
	} {
		got, err := ParseProxies(text)
		if (err != nil) != (want == "") || err == nil && fmt.Sprint(got) != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}

// FuzzForwarded: whom a proxy speaks for is found as a naive second telling finds him,
// and is either the peer or somebody who was named.
func FuzzForwarded(f *testing.F) {
	for _, seed := range [][2]string{{"198.51.100.7, 10.0.0.2", "192.0.2.1"}, {"[2a00::7]:1", ""}, {",", ","}, {"unknown, 10.0.0.1", " 10.9.9.9 "}, {"::ffff:10.0.0.1", "\x00"}, {"fe80::1%a", "10.0.0.1:"}} {
		f.Add(seed[0], seed[1])
	}
	trusted := proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32")}
	peer := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, first, second string) {
		got := trusted.client(peer, [][]byte{[]byte(first), []byte(second)})
		want := peer
		for _, word := range slices.Backward(strings.Split(first+","+second, ",")) {
			hop, ok := parseHop([]byte(word))
			if !ok || !trusted.trust(want) {
				break
			}
			want = hop
		}
		if got != want {
			t.Errorf("%q, %q: %s, want %s", first, second, got, want)
		}
		if got.Zone() != "" || got.Is4In6() || !got.IsValid() {
			t.Errorf("%q, %q: %s", first, second, got)
		}
	})
}

// FuzzParseProxies: what is read is some network, and never every address.
func FuzzParseProxies(f *testing.F) {
	for _, seed := range []string{"10.0.0.0/8, ::1", "", ",", "0.0.0.0/0", "::ffff:1.2.3.4/97", "fe80::1%a/64"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseProxies(text)
		if err != nil && len(all) > 0 {
			t.Errorf("%q is both %v and %v", text, all, err)
		}
		for _, p := range all {
			if !p.IsValid() || p.Bits() == 0 || p != p.Masked() || p.Addr().Is4In6() {
				t.Errorf("%q has %s", text, p)
			}
			if !proxies(all).trust(p.Addr()) {
				t.Errorf("%q does not trust its own %s", text, p.Addr())
			}
		}
	})
}

// TestThrottlesGoByTheClient: sign-ups are counted to whom the proxy names, and to the
// connection where none is believed.
func TestThrottlesGoByTheClient(t *testing.T) {
	t.Parallel()
	for name, behind := range map[string]bool{"behind a proxy": true, "alone": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, func(o *Options) {
				if behind {
					o.Edge.Proxies = proxies{netip.MustParsePrefix("127.0.0.0/8")}
				}
			})
			from := func(client string) int {
				body := fmt.Sprintf(`{"email":"new-%d@example.org","password":"long enough","role":"buyer"}`, people.Add(1))
				return h.ask("POST", "/v1/auth/signup", "", body, "X-Forwarded-For: "+client, "Forwarded: for=203.0.113.1").status
			}
			for range 20 {
				if got := from("198.51.100.7"); got != http.StatusCreated {
					t.Fatalf("sign-up: %d", got)
				}
			}
			if got := from("203.0.113.1, 198.51.100.7"); got != http.StatusTooManyRequests {
				t.Errorf("the 21st: %d", got)
			}
			if got := from("198.51.100.8") == http.StatusCreated; got != behind {
				t.Errorf("another one is let in: %t", got)
			}
		})
	}
}
