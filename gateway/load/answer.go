package load

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"time"

	siplib "github.com/emiago/sipgo/sip"
)

// Answer takes every call at once with a fixed SDP, and its BYE: the least that
// a SIP server (RFC 3261) made with the same library must do. It opens no media,
// keeps no record and knows no meeting. With secure it speaks TLS and answers
// with SRTP. ready is told the real address.
func Answer(ctx context.Context, addr string, secure bool, ready func(netip.AddrPort)) error {
	quiet := slog.New(slog.DiscardHandler)
	transport := siplib.NewTransportLayer(net.DefaultResolver, siplib.NewParser(), nil, siplib.WithTransportLayerLogger(quiet))
	transactions := siplib.NewTransactionLayer(transport, siplib.WithTransactionLayerLogger(quiet))
	defer transport.Close()
	var at netip.AddrPort
	var serve func() error
	if secure {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		defer l.Close()
		conf, err := selfSigned()
		if err != nil {
			return err
		}
		at = netip.MustParseAddrPort(l.Addr().String())
		serve = func() error { return transport.ServeTLS(tls.NewListener(l, conf)) }
		context.AfterFunc(ctx, func() { l.Close() })
	} else {
		c, err := net.ListenPacket("udp", addr)
		if err != nil {
			return err
		}
		defer c.Close()
		at = netip.MustParseAddrPort(c.LocalAddr().String())
		serve = func() error { return transport.ServeUDP(c) }
		context.AfterFunc(ctx, func() { c.Close() })
	}
	answers(transactions, at, secure)
	ready(at)
	if err := serve(); ctx.Err() == nil {
		return err
	}
	return nil
}

// answers has calls taken.
func answers(transactions *siplib.TransactionLayer, at netip.AddrPort, secure bool) {
	contact, sdp := fmt.Sprintf("<sip:answer@%v>", at), fixedSDP(at, secure)
	if secure {
		contact = fmt.Sprintf("<sips:answer@%v;transport=tls>", at)
	}
	transactions.OnRequest(func(req *siplib.Request, tx *siplib.ServerTx) {
		switch req.Method {
		case siplib.INVITE:
			res := siplib.NewResponseFromRequest(req, 200, "OK", sdp)
			res.AppendHeader(siplib.NewHeader("Contact", contact))
			res.AppendHeader(siplib.NewHeader("Content-Type", "application/sdp"))
			_ = tx.Respond(res)
		case siplib.BYE:
			_ = tx.Respond(siplib.NewResponseFromRequest(req, 200, "OK", nil))
		}
		if tx != nil { // an ACK has none
			tx.TerminateGracefully()
		}
	})
}

// fixedSDP answers with G.711 (RFC 3264), and with the first suite that the load
// offers (RFC 4568) if the call is encrypted.
func fixedSDP(at netip.AddrPort, secure bool) []byte {
	profile, crypto := "RTP/AVP", ""
	if secure {
		profile = "RTP/SAVP"
		crypto = "a=crypto:1 " + byGCM + " inline:" + base64.StdEncoding.EncodeToString(make([]byte, 44)) + "\r\n"
	}
	return fmt.Appendf(nil, "v=0\r\no=- 1 1 IN IP4 %[1]v\r\ns=-\r\nc=IN IP4 %[1]v\r\nt=0 0\r\nm=audio 9 %[2]s 0\r\na=rtpmap:0 PCMU/8000\r\n%[3]sa=sendrecv\r\n",
		at.Addr(), profile, crypto)
}

// selfSigned is TLS with a certificate that nobody has signed.
func selfSigned() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
}

// Ratio of the CPU to that of the bare server; 0: there is none to compare.
func (s Setup) Ratio() float64 {
	if s.Bare == 0 {
		return 0
	}
	return s.CPU / s.Bare
}
