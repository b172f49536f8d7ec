package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// proxies are the hops that are believed when they say whom they speak for. Anybody
// can write X-Forwarded-For, so it counts only as far as it was written by them. The
// standard Forwarded header (RFC 7239) is never read: with two headers for one thing
// somebody sends us the one that his proxy lets through as it came.
type proxies []netip.Prefix

// ParseProxies reads a comma-separated list of addresses and CIDR prefixes.
func ParseProxies(text string) (all []netip.Prefix, err error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		prefix, err := netip.ParsePrefix(word)
		if err != nil {
			var address netip.Addr
			if address, err = netip.ParseAddr(word); err == nil && address.Zone() == "" {
				prefix = netip.PrefixFrom(address, address.BitLen())
			}
		}
		switch {
		case !prefix.IsValid():
			return nil, fmt.Errorf("%q is no address and no prefix like 10.0.0.0/8", word)
		case prefix.Addr().Is4In6():
			return nil, fmt.Errorf("%q is an IPv4 address in IPv6: write it as IPv4", word)
		case prefix.Bits() == 0:
			return nil, errors.New(word + " would have everybody believed")
		}
		all = append(all, prefix.Masked())
	}
	return all, nil
}

func (p proxies) trust(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// client answers whom peer speaks for. It goes back from the peer, hop by hop, through
// the values of X-Forwarded-For, as long as whoever named a hop is believed. What is
// no address ends the walk at the last one that was.
func (p proxies) client(peer netip.Addr, forwarded [][]byte) netip.Addr {
	at := peer
	for i := len(forwarded) - 1; i >= 0; i-- {
		for rest, more := forwarded[i], true; more; {
			if !p.trust(at) {
				return at
			}
			comma := bytes.LastIndexByte(rest, ',')
			hop, ok := parseHop(rest[comma+1:])
			if !ok {
				return at
			}
			at, rest, more = hop, rest[:max(comma, 0)], comma >= 0
		}
	}
	return at
}

// longestHop is [ffff:…:ffff]:65535, an IPv6 address that ends in an IPv4 one.
const longestHop = len("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535")

// parseHop reads one hop: an address, with a port where the proxy adds one. An IPv4
// address in IPv6 is an IPv4 address. A zone means nothing on another machine.
func parseHop(text []byte) (netip.Addr, bool) {
	text = bytes.Trim(text, " \t")
	if len(text) > longestHop {
		return netip.Addr{}, false
	}
	word := string(text)
	address, err := netip.ParseAddr(word)
	if err != nil {
		var withPort netip.AddrPort
		if withPort, err = netip.ParseAddrPort(word); err != nil {
			return netip.Addr{}, false
		}
		address = withPort.Addr()
	}
	return address.Unmap(), address.Zone() == ""
}

// peerOf answers the other end of a connection.
func peerOf(request *fasthttp.RequestCtx) netip.Addr {
	tcp, ok := request.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.IPv4Unspecified()
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// from answers where a request comes from, and whether a proxy says so or says
// nothing of it.
func (a *API) from(request *fasthttp.RequestCtx) (client netip.Addr, direct bool) {
	peer := peerOf(request)
	if len(a.proxies) == 0 && !peer.IsLoopback() {
		return peer, true // the common case asks for no header
	}
	forwarded := request.Request.Header.PeekAll(fiber.HeaderXForwardedFor)
	return a.proxies.client(peer, forwarded), len(forwarded) == 0
}

// overTLS says whether a proxy that is believed says that it was asked by https. We
// ourselves speak plain HTTP.
func (a *API) overTLS(request *fasthttp.RequestCtx) bool {
	if len(a.proxies) == 0 || !a.proxies.trust(peerOf(request)) {
		return false
	}
	said := request.Request.Header.PeekAll(fiber.HeaderXForwardedProto)
	return len(said) == 1 && string(said[0]) == "https"
}
