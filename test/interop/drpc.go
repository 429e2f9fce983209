package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync/atomic"

	"github.com/hashicorp/yamux"
	"storj.io/drpc"
	"storj.io/drpc/drpcserver"
)

// plain is the encoding of messages that are bytes already.
type plain struct{}

func (plain) Marshal(message drpc.Message) ([]byte, error) { return *message.(*[]byte), nil }

func (plain) Unmarshal(data []byte, message drpc.Message) error {
	*message.(*[]byte) = append([]byte(nil), data...)
	return nil
}

// methods are the calls that both sides of the tests serve.
type methods struct{ canceled atomic.Int64 }

func (m *methods) HandleRPC(stream drpc.Stream, rpc string) error {
	switch rpc {
	case "/echo":
		for {
			var message []byte
			if err := stream.MsgRecv(&message, plain{}); err != nil {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}
			if err := stream.MsgSend(&message, plain{}); err != nil {
				return err
			}
		}
	case "/one":
		var message []byte
		if err := stream.MsgRecv(&message, plain{}); err != nil {
			return err
		}
		return stream.MsgSend(&message, plain{})
	case "/sink":
		var total uint64
		for {
			var message []byte
			if err := stream.MsgRecv(&message, plain{}); err != nil {
				break
			}
			total += uint64(len(message))
		}
		answer := binary.BigEndian.AppendUint64(nil, total)
		return stream.MsgSend(&answer, plain{})
	case "/source":
		var request []byte
		if err := stream.MsgRecv(&request, plain{}); err != nil {
			return err
		}
		for n := uint64(0); n < binary.BigEndian.Uint64(request); n++ {
			message := make([]byte, 1<<20)
			binary.BigEndian.PutUint64(message, n)
			if err := stream.MsgSend(&message, plain{}); err != nil {
				return err
			}
		}
		return nil
	case "/close":
		var request []byte
		if err := stream.MsgRecv(&request, plain{}); err != nil {
			return err
		}
		if err := stream.MsgSend(&request, plain{}); err != nil {
			return err
		}
		return stream.Close()
	case "/fail":
		return errors.New("boom")
	case "/wait":
		// The library sees nothing behind a message that is not read, not even the end. The answer says that the handler runs: a
		// caller that leaves before would cancel nothing.
		var started []byte
		if err := stream.MsgRecv(&started, plain{}); err != nil {
			return err
		}
		if err := stream.MsgSend(&started, plain{}); err != nil {
			return err
		}
		<-stream.Context().Done()
		m.canceled.Add(1)
		return stream.Context().Err()
	case "/canceled":
		var request []byte
		if err := stream.MsgRecv(&request, plain{}); err != nil {
			return err
		}
		answer := binary.BigEndian.AppendUint64(nil, uint64(m.canceled.Load()))
		return stream.MsgSend(&answer, plain{})
	}
	return drpc.ProtocolError.New("unknown rpc: %q", rpc)
}

func serveDRPC(session *yamux.Session) {
	server := drpcserver.New(&methods{})
	for {
		stream, err := session.AcceptStream()
		if err != nil {
			return
		}
		go func() { _ = server.ServeOne(context.Background(), stream) }()
	}
}
