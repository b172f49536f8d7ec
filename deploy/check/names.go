package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// names answers questions for the addresses of services at address, UDP, as Docker's own
// server does: all replicas of one name at once. The file has a line "name address" each.
// It ends with its process.
func names(ctx context.Context, file, address string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	known := map[string][]netip.Addr{}
	for line := range strings.Lines(string(text)) {
		name, at, _ := strings.Cut(strings.TrimSpace(line), " ")
		ip, err := netip.ParseAddr(at)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		known[name+"."] = append(known[name+"."], ip)
	}
	l, err := new(net.ListenConfig).ListenPacket(ctx, "udp4", address)
	if err != nil {
		return err
	}
	defer l.Close()
	for buffer := make([]byte, 4096); ; {
		n, from, err := l.ReadFrom(buffer)
		if err != nil {
			return err
		}
		var question dnsmessage.Message
		if question.Unpack(buffer[:n]) != nil || len(question.Questions) != 1 {
			continue
		}
		answer, err := reply(question, known)
		if err != nil {
			return err
		}
		if _, err := l.WriteTo(answer, from); err != nil {
			return err
		}
	}
}

func reply(question dnsmessage.Message, known map[string][]netip.Addr) ([]byte, error) {
	q := question.Questions[0]
	answer := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: question.ID, Response: true, Authoritative: true, RecursionDesired: question.RecursionDesired, RecursionAvailable: true},
		Questions: question.Questions,
	}
	addresses, ok := known[strings.ToLower(q.Name.String())]
	if !ok {
		answer.RCode = dnsmessage.RCodeNameError
	}
	if q.Type == dnsmessage.TypeA {
		for _, ip := range addresses {
			answer.Answers = append(answer.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
				Body:   &dnsmessage.AResource{A: ip.As4()},
			})
		}
	}
	return answer.Pack()
}
