#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "worker-fetch/dial/address.h"

#include <arpa/inet.h>

#define LOOPBACK ADDRESS_LOOPBACK
#define PRIVATE ADDRESS_PRIVATE
#define PUBLIC ADDRESS_PUBLIC
#define LINK ADDRESS_LINK
#define NEVER ADDRESS_NEVER

static const struct {
	const char *text;
	enum address_class class;
} rows[] = {
    {"127.0.0.1", LOOPBACK},
    {"127.255.255.255", LOOPBACK},
    {"126.255.255.255", PUBLIC},
    {"128.0.0.0", PUBLIC},
    {"0.0.0.0", NEVER},
    {"0.255.0.1", NEVER},
    {"1.0.0.0", PUBLIC},
    {"10.0.0.0", PRIVATE},
    {"10.255.255.255", PRIVATE},
    {"11.0.0.0", PUBLIC},
    {"9.255.255.255", PUBLIC},
    {"172.15.255.255", PUBLIC},
    {"172.16.0.0", PRIVATE},
    {"172.31.255.255", PRIVATE},
    {"172.32.0.0", PUBLIC},
    {"192.168.0.0", PRIVATE},
    {"192.167.255.255", PUBLIC},
    {"192.169.0.0", PUBLIC},
    {"100.63.255.255", PUBLIC},
    {"100.64.0.0", PRIVATE},
    {"100.127.255.255", PRIVATE},
    {"100.128.0.0", PUBLIC},
    {"100.100.100.200", LINK},
    {"100.100.100.201", PRIVATE},
    {"169.254.0.0", LINK},
    {"169.254.169.254", LINK},
    {"169.254.255.255", LINK},
    {"169.253.255.255", PUBLIC},
    {"169.255.0.0", PUBLIC},
    {"168.63.129.16", LINK},
    {"168.63.129.17", PUBLIC},
    {"192.0.0.192", LINK},
    {"192.0.0.1", PRIVATE},
    {"192.0.2.1", PRIVATE},
    {"192.0.3.0", PUBLIC},
    {"198.18.0.0", PRIVATE},
    {"198.19.255.255", PRIVATE},
    {"198.20.0.0", PUBLIC},
    {"198.17.255.255", PUBLIC},
    {"223.255.255.255", PUBLIC},
    {"224.0.0.0", NEVER},
    {"239.255.255.255", NEVER},
    {"240.0.0.0", NEVER},
    {"255.255.255.255", NEVER},
    {"::1", LOOPBACK},
    {"::", NEVER},
    {"::2", NEVER},
    {"fe80::1", LINK},
    {"febf::1", LINK},
    {"fec0::1", PRIVATE},
    {"fc00::", PRIVATE},
    {"fdff::1", PRIVATE},
    {"fe00::", NEVER},
    {"fd00:ec2::254", LINK},
    {"fd00:ec2::253", PRIVATE},
    {"fd20:ce::254", LINK},
    {"ff02::1", NEVER},
    {"2001:4860:4860::8888", PUBLIC},
    {"2a00::1", PUBLIC},
    {"3fff:fff::1", PRIVATE},
    {"3fff:1000::1", PUBLIC},
    {"4000::1", NEVER},
    {"2001:db8::1", PRIVATE},
    {"2001:db9::1", PUBLIC},
    {"2001:0:1::1", NEVER},
    {"2001:1::1", PRIVATE},
    {"2001:200::1", PUBLIC},
    {"100::1", NEVER},
    /* IPv4 in disguise */
    {"::ffff:127.0.0.1", LOOPBACK},
    {"::ffff:169.254.169.254", LINK},
    {"::ffff:10.0.0.1", PRIVATE},
    {"::ffff:1.1.1.1", PUBLIC},
    {"::ffff:0.0.0.0", NEVER},
    {"::ffff:0:169.254.169.254", LINK},
    {"::127.0.0.1", LOOPBACK},
    {"::169.254.169.254", LINK},
    {"::1.1.1.1", PUBLIC},
    {"64:ff9b::10.0.0.1", PRIVATE},
    {"64:ff9b::8.8.8.8", PUBLIC},
    {"64:ff9b::169.254.169.254", LINK},
    {"64:ff9b:1::1", PRIVATE},
    {"2002:7f00:1::", LOOPBACK},
    {"2002:a9fe:a9fe::1", LINK},
    {"2002:808:808::1", PUBLIC},
};

static void
classes(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sockaddr_in v4 = {.sin_family = AF_INET};
		struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
		const struct sockaddr *sa = (const struct sockaddr *)&v4;
		if (inet_pton(AF_INET, rows[i].text, &v4.sin_addr) != 1) {
			assert_int_equal(
			    inet_pton(AF_INET6, rows[i].text, &v6.sin6_addr), 1);
			sa = (const struct sockaddr *)&v6;
		}
		if (address_class_of(sa) != rows[i].class)
			fail_msg("%s is %d", rows[i].text, (int)address_class_of(sa));
	}
	struct sockaddr other = {.sa_family = AF_UNIX};
	assert_int_equal(address_class_of(&other), NEVER);
}

static void
allowed(void **state)
{
	static const bool table[3][5] = {
	    /* loopback private public link never */
	    {true, true, true, false, false},
	    {false, true, true, false, false},
	    {false, false, true, false, false},
	};

	for (int floor = 0; floor < 3; floor++) {
		for (int class = 0; class < 5; class ++) {
			assert_int_equal(address_allowed((enum address_class) class,
					     (enum address_class)floor, false),
			    table[floor][class]);
			assert_int_equal(address_allowed((enum address_class) class,
					     (enum address_class)floor, true),
			    table[floor][class] || class == ADDRESS_LINK);
		}
	}
}

static void
text(void **state)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(65535)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(1)};
	char dst[ADDRESS_TEXT];

	memset(&v4.sin_addr, 255, 4);
	assert_string_equal(
	    address_format((struct sockaddr *)&v4, dst), "255.255.255.255:65535");
	memset(&v6.sin6_addr, 255, 16);
	assert_string_equal(address_format((struct sockaddr *)&v6, dst),
	    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(classes),
	    cmocka_unit_test(allowed),
	    cmocka_unit_test(text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
