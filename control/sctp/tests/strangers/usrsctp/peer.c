/*
 * An end of an association on usrsctp, for the tests: it echoes what it gets, or it sends, resets
 * and shuts down. SCTP over UDP on loopback (RFC 6951).
 *
 *   peer echo LOCAL_UDP
 *   peer talk LOCAL_UDP REMOTE_UDP COUNT LENGTH RETRANSMISSIONS UNORDERED
 *   peer anew LOCAL_UDP
 *
 * `anew` echoes; at the message "more" it adds streams, at "anew" it resets the whole association.
 * Every fifth message of `talk` is reliable, the others as RETRANSMISSIONS says (-1: reliable too).
 * The first four bytes of a message are its number. It prints a line for each thing that happened.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <usrsctp.h>

#define SCTP_PORT 5001
#define STREAM 1
#define PPID 53

static uint8_t buffer[1 << 18];

static void die(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	fflush(stdout);
	exit(1);
}

static void must(int result, const char *what)
{
	if (result < 0)
		die(what);
}

static struct socket *make_socket(void)
{
	static const uint16_t wanted[] = {SCTP_ASSOC_CHANGE, SCTP_STREAM_RESET_EVENT, SCTP_SHUTDOWN_EVENT,
	                                  SCTP_ASSOC_RESET_EVENT, SCTP_STREAM_CHANGE_EVENT};
	const int on = 1;
	struct sctp_assoc_value reset = {.assoc_id = SCTP_ALL_ASSOC, .assoc_value = 7};
	struct sctp_initmsg init = {.sinit_num_ostreams = 16, .sinit_max_instreams = 64};
	struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct socket *sock = usrsctp_socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);

	if (sock == NULL)
		die("socket");
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		struct sctp_event event = {.se_assoc_id = SCTP_ALL_ASSOC, .se_type = wanted[i], .se_on = 1};
		must(usrsctp_setsockopt(sock, IPPROTO_SCTP, SCTP_EVENT, &event, sizeof(event)), "event");
	}
	must(usrsctp_setsockopt(sock, IPPROTO_SCTP, SCTP_RECVRCVINFO, &on, sizeof(on)), "rcvinfo");
	must(usrsctp_setsockopt(sock, IPPROTO_SCTP, SCTP_NODELAY, &on, sizeof(on)), "nodelay");
	must(usrsctp_setsockopt(sock, IPPROTO_SCTP, SCTP_ENABLE_STREAM_RESET, &reset, sizeof(reset)), "reset");
	must(usrsctp_setsockopt(sock, IPPROTO_SCTP, SCTP_INITMSG, &init, sizeof(init)), "initmsg");
	local.sin_port = htons(SCTP_PORT);
	must(usrsctp_bind(sock, (struct sockaddr *)&local, sizeof(local)), "bind");
	return sock;
}

static void send_message(struct socket *sock, const void *data, size_t len, uint16_t stream, int unordered,
                         int retransmissions)
{
	struct sctp_sendv_spa spa = {.sendv_flags = SCTP_SEND_SNDINFO_VALID};

	spa.sendv_sndinfo.snd_sid = stream;
	spa.sendv_sndinfo.snd_ppid = htonl(PPID);
	spa.sendv_sndinfo.snd_flags = unordered ? SCTP_UNORDERED : 0;
	if (retransmissions >= 0) {
		spa.sendv_flags |= SCTP_SEND_PRINFO_VALID;
		spa.sendv_prinfo.pr_policy = SCTP_PR_SCTP_RTX;
		spa.sendv_prinfo.pr_value = (uint32_t)retransmissions;
	}
	while (usrsctp_sendv(sock, data, len, NULL, 0, &spa, sizeof(spa), SCTP_SENDV_SPA, 0) < 0) {
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			die("send");
		usleep(1000);
	}
}

static void reset_stream(struct socket *sock, uint16_t stream)
{
	size_t len = sizeof(struct sctp_reset_streams) + sizeof(uint16_t);
	struct sctp_reset_streams *reset = calloc(1, len);

	reset->srs_flags = SCTP_STREAM_RESET_OUTGOING;
	reset->srs_number_streams = 1;
	reset->srs_stream_list[0] = stream;
	must(usrsctp_setsockopt(sock, IPPROTO_SCTP, SCTP_RESET_STREAMS, reset, (socklen_t)len), "reset streams");
	free(reset);
}

enum what { MESSAGE, INCOMING_RESET, OUTGOING_RESET, ENDED, OTHER };

/* The next thing that happens; a message is in `buffer`. */
static enum what next(struct socket *sock, size_t *len, struct sctp_rcvinfo *info)
{
	const union sctp_notification *note = (const union sctp_notification *)buffer;
	size_t have = 0;

	for (;;) {
		struct sctp_rcvinfo rcvinfo;
		socklen_t info_len = sizeof(rcvinfo), from_len = 0;
		unsigned int info_type = 0;
		int flags = 0;
		ssize_t n = usrsctp_recvv(sock, buffer + have, sizeof(buffer) - have, NULL, &from_len, &rcvinfo,
		                          &info_len, &info_type, &flags);
		if (n <= 0)
			return ENDED;
		if (!(flags & MSG_NOTIFICATION)) {
			have += (size_t)n;
			if (!(flags & MSG_EOR))
				continue;
			*len = have;
			*info = rcvinfo;
			return MESSAGE;
		}
		if (note->sn_header.sn_type == SCTP_STREAM_RESET_EVENT) {
			uint16_t reset = note->sn_strreset_event.strreset_flags;
			printf("reset %s\n", reset & SCTP_STREAM_RESET_INCOMING_SSN ? "incoming" : "outgoing");
			fflush(stdout);
			return reset & SCTP_STREAM_RESET_INCOMING_SSN ? INCOMING_RESET : OUTGOING_RESET;
		}
		if (note->sn_header.sn_type == SCTP_ASSOC_RESET_EVENT) {
			printf("anew %u\n", note->sn_assocreset_event.assocreset_flags);
			fflush(stdout);
			return OTHER;
		}
		if (note->sn_header.sn_type == SCTP_STREAM_CHANGE_EVENT) {
			printf("streams %u in, %u out\n", note->sn_strchange_event.strchange_instrms,
			       note->sn_strchange_event.strchange_outstrms);
			fflush(stdout);
			return OTHER;
		}
		if (note->sn_header.sn_type == SCTP_ASSOC_CHANGE) {
			uint16_t state = note->sn_assoc_change.sac_state;
			printf("association %u\n", state);
			fflush(stdout);
			if (state == SCTP_SHUTDOWN_COMP || state == SCTP_COMM_LOST)
				return ENDED;
		}
		return OTHER;
	}
}

static int is_word(const char *word, size_t len)
{
	return len == strlen(word) && memcmp(buffer, word, len) == 0;
}

/* Does what a message asks for, if it is an order. */
static void obey(struct socket *sock, size_t len)
{
	if (is_word("more", len)) {
		struct sctp_add_streams add = {.sas_instrms = 2, .sas_outstrms = 3};
		must(usrsctp_setsockopt(sock, IPPROTO_SCTP, SCTP_ADD_STREAMS, &add, sizeof(add)), "add streams");
	}
	if (is_word("anew", len)) {
		sctp_assoc_t all = SCTP_FUTURE_ASSOC;
		/* It does not while anything is not acknowledged. */
		while (usrsctp_setsockopt(sock, IPPROTO_SCTP, SCTP_RESET_ASSOC, &all, sizeof(all)) < 0) {
			if (errno != EBUSY)
				die("reset");
			usleep(1000);
		}
	}
}

static int echo(int obeys)
{
	struct socket *listener = make_socket(), *sock;
	struct sctp_rcvinfo info;
	unsigned long echoed = 0;
	size_t len;

	must(usrsctp_listen(listener, 1), "listen");
	printf("listening\n");
	fflush(stdout);
	sock = usrsctp_accept(listener, NULL, NULL);
	if (sock == NULL)
		die("accept");
	for (;;) {
		switch (next(sock, &len, &info)) {
		case MESSAGE:
			send_message(sock, buffer, len, info.rcv_sid, info.rcv_flags & SCTP_UNORDERED, -1);
			echoed++;
			if (obeys)
				obey(sock, len);
			break;
		case INCOMING_RESET:
			reset_stream(sock, STREAM);
			break;
		case ENDED:
			printf("echoed %lu\n", echoed);
			usrsctp_close(sock);
			usrsctp_close(listener);
			return 0;
		default:
			break;
		}
	}
}

/* Sends the messages from `from` up to `to`, and waits for the echo of the last. */
static unsigned long talk_some(struct socket *sock, uint32_t from, uint32_t to, size_t length, int retransmissions,
                               int unordered)
{
	uint8_t *message = calloc(1, length);
	struct sctp_rcvinfo info;
	unsigned long came = 0;
	uint32_t wanted = 0;
	size_t len;

	for (uint32_t n = from; n < to; n++) {
		uint32_t number = htonl(n);
		int is_reliable = n % 5 == 4 || n == to - 1;
		memcpy(message, &number, sizeof(number));
		memset(message + sizeof(number), (int)(n & 0xFF), length - sizeof(number));
		send_message(sock, message, length, STREAM, unordered, is_reliable ? -1 : retransmissions);
		wanted += is_reliable || retransmissions < 0;
	}
	while (wanted > 0) {
		uint32_t number;
		switch (next(sock, &len, &info)) {
		case MESSAGE:
			memcpy(&number, buffer, sizeof(number));
			number = ntohl(number);
			if (len != length || info.rcv_sid != STREAM || buffer[len - 1] != (number & 0xFF)) {
				printf("message %u is wrong\n", number);
				exit(1);
			}
			came++;
			wanted -= number % 5 == 4 || number == to - 1 || retransmissions < 0;
			break;
		case ENDED:
			printf("ended early\n");
			exit(1);
		default:
			break;
		}
	}
	free(message);
	return came;
}

static int talk(uint16_t remote_udp, uint32_t count, size_t length, int retransmissions, int unordered)
{
	struct socket *sock = make_socket();
	struct sctp_udpencaps encaps = {.sue_address.ss_family = AF_INET, .sue_port = htons(remote_udp)};
	struct sockaddr_in remote = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sctp_rcvinfo info;
	unsigned resets = 0;
	size_t len;

	must(usrsctp_setsockopt(sock, IPPROTO_SCTP, SCTP_REMOTE_UDP_ENCAPS_PORT, &encaps, sizeof(encaps)), "encaps");
	remote.sin_port = htons(SCTP_PORT);
	must(usrsctp_connect(sock, (struct sockaddr *)&remote, sizeof(remote)), "connect");
	printf("came %lu\n", talk_some(sock, 0, count, length, retransmissions, unordered));
	reset_stream(sock, STREAM);
	while (resets != 3) {
		switch (next(sock, &len, &info)) {
		case OUTGOING_RESET:
			resets |= 1;
			break;
		case INCOMING_RESET:
			resets |= 2;
			break;
		case ENDED:
			printf("ended early\n");
			return 1;
		default:
			break;
		}
	}
	printf("came again %lu\n", talk_some(sock, count, count + 5, length, -1, 0));
	must(usrsctp_shutdown(sock, SHUT_WR), "shutdown");
	while (next(sock, &len, &info) != ENDED)
		;
	printf("done\n");
	usrsctp_close(sock);
	return 0;
}

int main(int argc, char **argv)
{
	int status;

	if (argc != 3 && argc != 8) {
		fprintf(stderr, "see the head of peer.c\n");
		return 2;
	}
	usrsctp_init((uint16_t)atoi(argv[2]), NULL, NULL);
	usrsctp_sysctl_set_sctp_blackhole(2);
	usrsctp_sysctl_set_sctp_no_csum_on_loopback(0);
	/*
	 * By default a lost INIT costs 3 s, and where the handshake gave no measurement every loss after it
	 * doubles that, up to a minute: longer than a test waits.
	 */
	usrsctp_sysctl_set_sctp_rto_initial_default(300);
	usrsctp_sysctl_set_sctp_rto_min_default(100);
	usrsctp_sysctl_set_sctp_rto_max_default(1000);
	usrsctp_sysctl_set_sctp_init_rto_max_default(1000);
	if (argc == 3)
		status = echo(strcmp(argv[1], "anew") == 0);
	else
		status = talk((uint16_t)atoi(argv[3]), (uint32_t)atoi(argv[4]), (size_t)atoi(argv[5]),
		              atoi(argv[6]), atoi(argv[7]));
	fflush(stdout);
	for (int i = 0; i < 50 && usrsctp_finish() != 0; i++)
		usleep(100000);
	return status;
}
