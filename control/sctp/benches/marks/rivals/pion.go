// pion's SCTP over UDP on loopback: one stream, one way.
//
//	pion receive UDP_PORT LENGTH COUNT
//	pion send UDP_PORT LENGTH COUNT
//
// The receiver says how many bytes came and how long it took from the first message to the last.
// Debian's golang-github-pion-sctp-dev has it: GO111MODULE=off GOPATH=/usr/share/gocode go build.
package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/pion/logging"
	"github.com/pion/sctp"
)

// As much as ours keeps waiting to be sent.
const bufferedMax = 2 << 20

func main() {
	if len(os.Args) != 5 {
		fail(fmt.Errorf("say: receive|send UDP_PORT LENGTH COUNT"))
	}
	port, length, count := number(os.Args[2]), number(os.Args[3]), number(os.Args[4])
	address := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
	if os.Args[1] == "receive" {
		receive(address, length, count)
	} else {
		send(address, length, count)
	}
}

func config(conn net.Conn) sctp.Config {
	factory := logging.NewDefaultLoggerFactory()
	factory.DefaultLogLevel = logging.LogLevelDisabled
	return sctp.Config{
		NetConn:              conn,
		MaxReceiveBufferSize: 4 << 20,
		MaxMessageSize:       256 << 10,
		LoggerFactory:        factory,
	}
}

func receive(address *net.UDPAddr, length, count int) {
	socket, err := net.ListenUDP("udp4", address)
	fail(err)
	fail(socket.SetReadBuffer(4 << 20))
	fmt.Println("listening")
	association, err := sctp.Server(config(&answering{UDPConn: socket}))
	fail(err)
	stream, err := association.AcceptStream()
	fail(err)
	buffer := make([]byte, 256<<10)
	var first time.Time
	bytes := 0
	for n := 0; n < count; n++ {
		got, err := stream.Read(buffer)
		fail(err)
		if n == 0 {
			first = time.Now()
		}
		bytes += got
	}
	fmt.Printf("%d bytes, %.6f s\n", bytes, time.Since(first).Seconds())
}

func send(address *net.UDPAddr, length, count int) {
	socket, err := net.DialUDP("udp4", nil, address)
	fail(err)
	fail(socket.SetReadBuffer(4 << 20))
	association, err := sctp.Client(config(socket))
	fail(err)
	stream, err := association.OpenStream(0, sctp.PayloadTypeWebRTCBinary)
	fail(err)
	more := make(chan struct{}, 1)
	stream.SetBufferedAmountLowThreshold(bufferedMax / 2)
	stream.OnBufferedAmountLow(func() {
		select {
		case more <- struct{}{}:
		default:
		}
	})
	payload := make([]byte, length)
	for n := 0; n < count; n++ {
		for stream.BufferedAmount() > bufferedMax {
			<-more
		}
		_, err := stream.WriteSCTP(payload, sctp.PayloadTypeWebRTCBinary)
		fail(err)
	}
	for stream.BufferedAmount() > 0 {
		time.Sleep(time.Millisecond)
	}
	// Until everything is acknowledged: who measures ends this process.
	time.Sleep(time.Minute)
}

// A socket that answers whoever wrote last.
type answering struct {
	*net.UDPConn
	peer *net.UDPAddr
}

func (socket *answering) Read(buffer []byte) (int, error) {
	n, from, err := socket.ReadFromUDP(buffer)
	if err == nil {
		socket.peer = from
	}
	return n, err
}

func (socket *answering) Write(packet []byte) (int, error) {
	return socket.WriteToUDP(packet, socket.peer)
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	fail(err)
	return n
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "pion:", err)
		os.Exit(1)
	}
}
